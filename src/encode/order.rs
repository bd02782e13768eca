//! The order of columns in JSON and in CSV. They differ, and both are independent of the order
//! in which fields were asked for.

use super::value::Style;
use crate::record::schema::What;
use crate::record::{Column, Field, Kind, Schema};

/// A column of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// A column of the schema.
    Row(What),
    /// The first of the two numbers of a column of coordinates.
    Latitude(Field),
    /// The second one.
    Longitude(Field),
    /// When the row left the table; follows [`Field::Bin`].
    Updated,
    /// Where the primitives of the configuration stand.
    Customs,
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
    (@ SrcHostLat) => { Out::Latitude(Field::SrcHostCoords) };
    (@ SrcHostLon) => { Out::Longitude(Field::SrcHostCoords) };
    (@ DstHostLat) => { Out::Latitude(Field::DstHostCoords) };
    (@ DstHostLon) => { Out::Longitude(Field::DstHostCoords) };
    (@ Customs) => { Out::Customs };
    (@ $id:ident) => { field(Field::$id) };
}

/// Order of the keys of a JSON object.
pub static JSON_ORDER: &[Out] = order! {
    Tag Tag2 Label Class ClassFrame SrcMac DstMac Vlan InVlan OutVlan InCvlan OutCvlan Cos Etype
    SrcAs DstAs StdComm ExtComm LrgComm AsPath LocalPref Med DstRoa PeerSrcAs PeerDstAs PeerSrcIp
    PeerDstIp SrcStdComm SrcExtComm SrcLrgComm SrcAsPath SrcLocalPref SrcMed SrcRoa
    InIface OutIface MplsVpnRd MplsPwId SrcHost SrcNet DstHost DstNet SrcMask DstMask
    SrcPort DstPort SrcHostCountry DstHostCountry SrcHostPocode DstHostPocode
    SrcHostLat SrcHostLon DstHostLat DstHostLon TcpFlags FwdStatus MplsLabelStack Srv6SegmentList
    PathDelayAvg PathDelayMin PathDelayMax Proto Tos FlowLabel SamplingRate SamplingDirection
    PostNatSrcHost PostNatDstHost PostNatSrcPort PostNatDstPort NatEvent FwEvent
    MplsLabelTop MplsLabelBottom TunnelSrcMac TunnelDstMac TunnelSrcHost TunnelDstHost
    TunnelProto TunnelTos TunnelFlowLabel TunnelSrcPort TunnelDstPort TunnelTcpFlags Vxlan Nvgre
    TimestampStart TimestampEnd TimestampArrival TimestampMin TimestampMax
    ExportProtoSeqno ExportProtoVersion ExportProtoSysid TimestampExport Customs
    Bin Updated Flows VrfName IngressVrfName EgressVrfName InIfaceName OutIfaceName
    IngressVrfId EgressVrfId NextHop Packets Bytes
};

/// Order of the fields of Avro, but for the counters, which come last in every schema.
pub static AVRO_ORDER: &[Out] = order! {
    Tag Tag2 Label Class ClassFrame SrcMac DstMac Vlan InVlan OutVlan InCvlan OutCvlan Cos Etype
    SrcAs DstAs StdComm ExtComm LrgComm AsPath LocalPref Med DstRoa PeerSrcAs PeerDstAs PeerSrcIp
    PeerDstIp SrcStdComm SrcExtComm SrcLrgComm SrcAsPath SrcLocalPref SrcMed SrcRoa
    InIface OutIface MplsVpnRd MplsPwId SrcHost SrcNet DstHost DstNet SrcMask DstMask
    SrcPort DstPort SrcHostCountry DstHostCountry SrcHostPocode DstHostPocode
    SrcHostLat SrcHostLon DstHostLat DstHostLon TcpFlags FwdStatus MplsLabelStack Srv6SegmentList
    VrfName IngressVrfName EgressVrfName InIfaceName OutIfaceName
    IngressVrfId EgressVrfId NextHop Proto Tos FlowLabel SamplingRate SamplingDirection
    PostNatSrcHost PostNatDstHost PostNatSrcPort PostNatDstPort NatEvent FwEvent
    MplsLabelTop MplsLabelBottom PathDelayAvg PathDelayMin PathDelayMax
    TunnelSrcMac TunnelDstMac TunnelSrcHost TunnelDstHost
    TunnelProto TunnelTos TunnelFlowLabel TunnelSrcPort TunnelDstPort TunnelTcpFlags Vxlan Nvgre
    TimestampStart TimestampEnd TimestampArrival TimestampMin TimestampMax
    ExportProtoSeqno ExportProtoVersion ExportProtoSysid TimestampExport Customs Bin Updated
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
    SrcHostLat SrcHostLon DstHostLat DstHostLon SamplingRate SamplingDirection
    PostNatSrcHost PostNatDstHost PostNatSrcPort PostNatDstPort NatEvent FwEvent FwdStatus
    MplsLabelTop MplsLabelBottom MplsLabelStack Srv6SegmentList
    TunnelSrcMac TunnelDstMac TunnelSrcHost TunnelDstHost
    TunnelProto TunnelTos TunnelFlowLabel TunnelSrcPort TunnelDstPort TunnelTcpFlags Vxlan Nvgre
    TimestampStart TimestampEnd TimestampArrival TimestampExport TimestampMin TimestampMax
    ExportProtoSeqno ExportProtoVersion ExportProtoSysid PathDelayAvg PathDelayMin PathDelayMax
    Customs Bin Updated Packets Flows Bytes
};

impl Out {
    /// The column of the schema that it is, or is a part of.
    pub fn what(self) -> Option<What> {
        match self {
            Self::Row(what) => Some(what),
            Self::Latitude(field) | Self::Longitude(field) => Some(What::Field(field)),
            Self::Updated | Self::Customs => None,
        }
    }

    /// Whether it is one of the counters that every row has.
    fn counts(self) -> bool {
        matches!(self, Self::Row(What::Packets | What::Flows | What::Bytes))
    }

    /// Its key in JSON and Avro, in rows of `schema`.
    pub fn json(self, schema: &Schema) -> &str {
        match self {
            Self::Longitude(Field::SrcHostCoords) => "lon_ip_src",
            Self::Longitude(_) => "lon_ip_dst",
            Self::Updated | Self::Customs => "stamp_updated",
            Self::Row(what) => schema.json_name(what),
            Self::Latitude(field) => field.info().json,
        }
    }

    /// Its heading in CSV and tables of rows of `schema`.
    pub fn heading(self, schema: &Schema) -> &str {
        match self {
            Self::Longitude(Field::SrcHostCoords) => "SH_LON",
            Self::Longitude(_) => "DH_LON",
            Self::Updated | Self::Customs => "STAMP_UPDATED",
            Self::Row(what) => schema.csv_name(what),
            Self::Latitude(field) => field.info().csv,
        }
    }
}

/// The columns of `schema` in `order`, as far as `style` wants them: stamps only where the schema
/// has bins. [`Out::Updated`] has no column, and the primitives of the configuration come as rows.
pub fn arrange(
    schema: &Schema,
    order: &'static [Out],
    style: &Style,
) -> std::vec::IntoIter<(Out, Option<Column>)> {
    let mut columns = Vec::with_capacity(schema.columns.len() + 1);
    for out in order {
        match out.what() {
            None if *out == Out::Customs => {
                let own = schema.columns.iter();
                let own = own.filter(|c| c.kind == Kind::Custom);
                columns.extend(own.map(|c| (Out::Row(c.what), Some(*c))));
            }
            None if style.stamps && schema.binned => columns.push((*out, None)),
            None => {}
            Some(What::Field(Field::Bin)) if !style.stamps => {}
            Some(_) if !style.counters && out.counts() => {}
            Some(what) => columns.extend(schema.column(what).map(|c| (*out, Some(*c)))),
        }
    }
    columns.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FIELDS;

    #[test]
    fn both_orders_hold_every_column_once() {
        let counted = [What::Packets, What::Flows, What::Bytes].map(Out::Row);
        let avro = [AVRO_ORDER, &counted].concat();
        for order in [JSON_ORDER, CSV_ORDER, &avro] {
            let all = FIELDS.iter().flat_map(|i| match i.field {
                // Two numbers are two columns.
                two @ (Field::SrcHostCoords | Field::DstHostCoords) => {
                    vec![Out::Latitude(two), Out::Longitude(two)]
                }
                one => vec![field(one)],
            });
            let all = all.chain([
                Out::Row(What::Packets),
                Out::Row(What::Flows),
                Out::Row(What::Bytes),
                Out::Updated,
                Out::Customs,
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
