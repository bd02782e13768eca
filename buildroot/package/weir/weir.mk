################################################################################
#
# weir
#
################################################################################

WEIR_VERSION = 0.1.0
WEIR_SITE = https://example.org/weir/releases
WEIR_LICENSE = MIT
WEIR_LICENSE_FILES = LICENSE

# Not offered: src-pcap (the kernel's packet ring captures), rule-filter-static
# (libpcap is loaded where a filter is set), compat-uci (OpenWrt's).
WEIR_FEATURES = edge
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_GZIP),src-gzip)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_HTTP),ctl-http)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_MAPS),rule-map)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_PREPROCESS),rule-preprocess)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_PRIMITIVES),dec-primitive)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_TRIGGER),sink-trigger)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_AVRO),enc-avro)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_SPOOL),spool)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_SQLITE),sink-sqlite)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_POSTGRES),sink-postgres)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_MYSQL),sink-mysql)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_AMQP),sink-amqp)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_MQTT),sink-mqtt)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_TIME_ZONE),time-zone)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_TOP),cmd-top)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_FIELDS),cmd-fields)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_GEN),cmd-gen)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_SANDBOX),sys-sandbox)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_CRASH),sys-crash)
WEIR_FEATURES += $(if $(BR2_PACKAGE_WEIR_PMACCT),compat-pmacct)

WEIR_CARGO_BUILD_OPTS = --no-default-features --features "$(strip $(WEIR_FEATURES))"
WEIR_CARGO_INSTALL_OPTS = --no-default-features --features "$(strip $(WEIR_FEATURES))"

define WEIR_INSTALL_CONF
	$(INSTALL) -D -m 0644 $(WEIR_PKGDIR)/weir.toml $(TARGET_DIR)/etc/weir/weir.toml
endef
WEIR_POST_INSTALL_TARGET_HOOKS += WEIR_INSTALL_CONF

define WEIR_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(WEIR_PKGDIR)/S60weir $(TARGET_DIR)/etc/init.d/S60weir
endef

define WEIR_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(WEIR_PKGDIR)/weir.service \
		$(TARGET_DIR)/usr/lib/systemd/system/weir.service
endef

define WEIR_USERS
	weir -1 weir -1 * /var/lib/weir - - Network accounting
endef

# The init script starts it as its user: what it may beside that is in the file.
define WEIR_PERMISSIONS
	/var/lib/weir d 750 weir weir - - - - -
	/usr/bin/weir f 755 0 0 - - - - -
	|xattr cap_net_raw,cap_net_bind_service+ep
endef

define WEIR_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_PACKET)
endef

$(eval $(cargo-package))
