//! A static program, which can load no library.

use super::pcap::Api;

/// There are no functions.
pub(super) fn api() -> Result<Api, String> {
    Err(
        "filter expressions need libpcap, and this program is static and can not load it: build \
         with the feature rule-filter-static"
            .into(),
    )
}
