################################################################################
#
# weir-prebuilt
#
################################################################################

WEIR_PREBUILT_VERSION = 0.1.0
WEIR_PREBUILT_SITE = https://example.org/weir/releases
WEIR_PREBUILT_SOURCE = weir-$(WEIR_PREBUILT_VERSION)-$(if $(BR2_mipsel),mipsel,mips)-unknown-linux-musl.tar.gz
WEIR_PREBUILT_LICENSE = MIT
WEIR_PREBUILT_LICENSE_FILES = LICENSE

define WEIR_PREBUILT_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/weir $(TARGET_DIR)/usr/bin/weir
	$(INSTALL) -D -m 0644 $(BR2_EXTERNAL_WEIR_PATH)/package/weir/weir.toml \
		$(TARGET_DIR)/etc/weir/weir.toml
endef

define WEIR_PREBUILT_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(BR2_EXTERNAL_WEIR_PATH)/package/weir/S60weir \
		$(TARGET_DIR)/etc/init.d/S60weir
endef

define WEIR_PREBUILT_USERS
	weir -1 weir -1 * /var/lib/weir - - Network accounting
endef

define WEIR_PREBUILT_PERMISSIONS
	/var/lib/weir d 750 weir weir - - - - -
	/usr/bin/weir f 755 0 0 - - - - -
	|xattr cap_net_raw,cap_net_bind_service+ep
endef

$(eval $(generic-package))
