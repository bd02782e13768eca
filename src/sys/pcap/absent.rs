//! No libpcap in this build: whoever asks for a filter is told so.

use super::pcap::Api;

/// There are no functions.
pub(super) fn api() -> Result<Api, String> {
    Err(
        "filter expressions need libpcap and the feature rule-filter, which this build does not \
         have; build sets with it: edge, collector, full"
            .into(),
    )
}
