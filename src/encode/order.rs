//! The order of columns in JSON and in CSV. They differ, and both are independent of the order
//! in which fields were asked for.

use crate::record::schema::What;
use crate::record::{Column, Field, Schema};

/// A column of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// A column of the schema.
    Row(What),
    /// When the row left the table; follows [`Field::Bin`].
    Updated,
}

const fn field(field: Field) -> Out {
    Out::Row(What::Field(field))
}

macro_rules! order {
    ($($id:ident)*) => { &[$(order!(@ $id)),*] };
    (@ Packets) => { Out::Row(What::Packets) };
    (@ Flows) => { Out::Row(What::Flows) };
    (@ Bytes) => { Out::Row(What::Bytes) };
    (@ Updated) => { Out::Updated };
    (@ $id:ident) => { field(Field::$id) };
}

/// Order of the keys of a JSON object.
pub static JSON_ORDER: &[Out] = order! {
    Tag Tag2 Label Class ClassFrame SrcMac DstMac Vlan InVlan OutVlan InCvlan OutCvlan Cos Etype
    SrcAs DstAs StdComm ExtComm LrgComm AsPath LocalPref Med DstRoa PeerSrcAs PeerDstAs PeerSrcIp
    PeerDstIp SrcStdComm SrcExtComm SrcLrgComm SrcAsPath SrcLocalPref SrcMed SrcRoa
    InIface OutIface MplsVpnRd MplsPwId SrcHost SrcNet DstHost DstNet SrcMask DstMask
    SrcPort DstPort SrcHostCountry DstHostCountry SrcHostPocode DstHostPocode
    SrcHostCoords DstHostCoords TcpFlags FwdStatus MplsLabelStack Srv6SegmentList
    PathDelayAvg PathDelayMin PathDelayMax Proto Tos FlowLabel SamplingRate SamplingDirection
    PostNatSrcHost PostNatDstHost PostNatSrcPort PostNatDstPort NatEvent FwEvent
    MplsLabelTop MplsLabelBottom TunnelSrcMac TunnelDstMac TunnelSrcHost TunnelDstHost
    TunnelProto TunnelTos TunnelFlowLabel TunnelSrcPort TunnelDstPort TunnelTcpFlags Vxlan Nvgre
    TimestampStart TimestampEnd TimestampArrival TimestampMin TimestampMax
    ExportProtoSeqno ExportProtoVersion ExportProtoSysid TimestampExport
    Bin Updated Flows VrfName IngressVrfName EgressVrfName InIfaceName OutIfaceName
    IngressVrfId EgressVrfId NextHop Packets Bytes
};

/// Order of the columns of CSV and tables.
pub static CSV_ORDER: &[Out] = order! {
    Tag Tag2 Label Class ClassFrame SrcMac DstMac Vlan InVlan OutVlan InCvlan OutCvlan Cos Etype
    SrcAs DstAs StdComm ExtComm LrgComm SrcStdComm SrcExtComm SrcLrgComm AsPath SrcAsPath
    LocalPref SrcLocalPref Med SrcMed SrcRoa DstRoa PeerSrcAs PeerDstAs PeerSrcIp PeerDstIp
    NextHop InIface OutIface MplsVpnRd MplsPwId VrfName IngressVrfName EgressVrfName
    IngressVrfId EgressVrfId InIfaceName OutIfaceName
    SrcHost SrcNet DstHost DstNet SrcMask DstMask SrcPort DstPort
    TcpFlags Proto Tos FlowLabel SrcHostCountry DstHostCountry SrcHostPocode DstHostPocode
    SrcHostCoords DstHostCoords SamplingRate SamplingDirection
    PostNatSrcHost PostNatDstHost PostNatSrcPort PostNatDstPort NatEvent FwEvent FwdStatus
    MplsLabelTop MplsLabelBottom MplsLabelStack Srv6SegmentList
    TunnelSrcMac TunnelDstMac TunnelSrcHost TunnelDstHost
    TunnelProto TunnelTos TunnelFlowLabel TunnelSrcPort TunnelDstPort TunnelTcpFlags Vxlan Nvgre
    TimestampStart TimestampEnd TimestampArrival TimestampExport TimestampMin TimestampMax
    ExportProtoSeqno ExportProtoVersion ExportProtoSysid PathDelayAvg PathDelayMin PathDelayMax
    Bin Updated Packets Flows Bytes
};

/// The columns of `schema` in `order`; stamps only if `stamps` and the schema has bins.
/// [`Out::Updated`] has no column.
pub fn arrange(
    schema: &Schema,
    order: &'static [Out],
    stamps: bool,
) -> impl Iterator<Item = (Out, Option<Column>)> {
    order.iter().filter_map(move |out| match out {
        Out::Updated => (stamps && schema.binned).then_some((*out, None)),
        Out::Row(What::Field(Field::Bin)) if !stamps => None,
        Out::Row(what) => schema.column(*what).map(|c| (*out, Some(*c))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FIELDS;

    #[test]
    fn both_orders_hold_every_column_once() {
        for order in [JSON_ORDER, CSV_ORDER] {
            let all = FIELDS.iter().map(|i| field(i.field)).chain([
                Out::Row(What::Packets),
                Out::Row(What::Flows),
                Out::Row(What::Bytes),
                Out::Updated,
            ]);
            let mut count = 0;
            for out in all {
                assert_eq!(order.iter().filter(|o| **o == out).count(), 1, "{out:?}");
                count += 1;
            }
            assert_eq!(order.len(), count);
        }
    }
}
