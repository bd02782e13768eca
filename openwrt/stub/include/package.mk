REQUIRED:=PKG_NAME PKG_VERSION PKG_RELEASE PKG_SOURCE PKG_SOURCE_URL PKG_HASH PKG_MAINTAINER PKG_LICENSE PKG_LICENSE_FILES PKG_BUILD_DEPENDS
define BuildPackage
$(foreach v,$(REQUIRED),$(if $(strip $($(v))),,$(error $(v) is not set)))
$(if $(filter skip,$(PKG_HASH)),,$(if $(filter 64,$(words $(subst $(newline), ,$(shell printf %s '$(PKG_HASH)' | fold -w1)))),,$(error PKG_HASH is not 64 hex digits)))
$(if $(filter rust/host,$(PKG_BUILD_DEPENDS)),,$(error PKG_BUILD_DEPENDS lacks rust/host))
$(eval $(Package/$(1)))
$(foreach v,SECTION CATEGORY TITLE URL DEPENDS,$(if $(strip $($(v))),,$(error Package/$(1): $(v) is not set)))
$(if $(strip $(Package/$(1)/description)),,$(error Package/$(1)/description is empty))
$(if $(strip $(call Package/$(1)/install,/root)),,$(error Package/$(1)/install is empty))
endef
check:
	@echo '$(PKG_NAME) $(PKG_VERSION)-$(PKG_RELEASE): $(TITLE); $(DEPENDS); rustflags $(CARGO_RUSTFLAGS); features $(RUST_PKG_FEATURES); args $(CARGO_PKG_ARGS)'
.PHONY: check
