# The names a package may use of the feed's lang/rust/rust-package.mk.
RUST_PKG_LOCKED?=1
CARGO_PKG_ARGS=
ifeq ($(strip $(RUST_PKG_LOCKED)),1)
  CARGO_PKG_ARGS+=--locked
endif
RUST_ARCH_DEPENDS:=@(aarch64||arm||mips||mipsel||x86_64)
CARGO_PKG_VARS=
CARGO_RUSTFLAGS+=-Ctarget-feature=-crt-static
define RustBinPackage
endef
