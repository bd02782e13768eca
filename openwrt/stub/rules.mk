# Stands in for what OpenWrt has under this name, so that the Makefile can be read without it:
#   make -C weir TOPDIR=$PWD/stub ARCH=mips check      (weir/ and stub/ side by side)
INCLUDE_DIR:=$(TOPDIR)/include
BUILD_DIR:=/build
PKG_BUILD_DIR=$(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)
PKG_INSTALL_DIR=$(PKG_BUILD_DIR)/ipkg-install
STAGING_DIR:=/staging
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_CONF:=install -m0600
INSTALL_DATA:=install -m0644
define newline


endef
