//! The VRFs of a record: their names and route distinguishers, as options tell them.
//!
//! A record names an ingress and an egress VRF, and often one of them is the global table, whose
//! distinguisher is zero. The record's own VRF is the one that has a distinguisher, the ingress
//! one first; where options tell none, the ingress one.

use super::options::{About, Options};
use super::plan::number;
use super::row::{Loc, Row};
use super::slow::{Origin, set_text};
use crate::base::intern::Sym;
use crate::record::{self, Field, FieldSet, FlowRecord, Rd};

/// Where a template has the numbers of the VRFs (elements 234, 235).
#[derive(Clone, Copy, Debug, Default)]
pub struct Vrfs {
    pub(super) ingress: Option<Loc>,
    pub(super) egress: Option<Loc>,
}

/// What is known of a record's VRFs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Name of the ingress VRF.
    pub ingress: Option<Sym>,
    /// Name of the egress VRF.
    pub egress: Option<Sym>,
    /// Name of the record's own VRF.
    pub own: Option<Sym>,
    /// Its route distinguisher, or its number.
    pub rd: Option<Rd>,
}

impl Vrfs {
    /// Whether a template has any.
    pub fn is_some(&self) -> bool {
        self.ingress.or(self.egress).is_some()
    }

    /// Writes what is known into a record, of which a distinguisher of its own stays.
    pub fn run<'a, R: Row<'a>>(
        &self,
        row: R,
        origin: &Origin,
        options: &mut Options,
        wanted: FieldSet,
        rec: &mut FlowRecord,
    ) {
        let known = self.resolve(row, origin, options);
        for (field, name) in [
            (Field::IngressVrfName, known.ingress),
            (Field::EgressVrfName, known.egress),
            (Field::VrfName, known.own),
        ] {
            if let Some(name) = name.filter(|_| wanted.has(field)) {
                set_text(rec, field, name);
            }
        }
        if let Some(rd) = known.rd.filter(|_| wanted.has(Field::MplsVpnRd))
            && Rd(rec.mpls_vpn_rd()).parts() == (0, 0)
        {
            rec.set_mpls_vpn_rd(rd.0);
        }
    }

    /// Looks up what options told.
    fn resolve<'a, R: Row<'a>>(&self, row: R, origin: &Origin, options: &mut Options) -> Known {
        if !self.is_some() {
            return Known::default();
        }
        let Origin { domain, now } = *origin;
        let [ingress, egress] = [self.ingress, self.egress].map(|loc| {
            let id = loc
                .map(|loc| number(row.value(loc)))
                .filter(|id| *id != 0)?;
            let name = options.name(domain, About::Vrf(id), now);
            let rd = match options.rd(domain, id, now) {
                Some(rd) => Rd::new(rd, record::Origin::Flow),
                None => Rd::vrf(id as u32, record::Origin::Flow),
            };
            Some((name, rd))
        });
        let distinct = |(_, rd): &(Option<Sym>, Rd)| rd.parts() != (0, 0) && rd.as_vrf().is_none();
        let through = ingress.filter(distinct).or(egress.filter(distinct));
        let name = |vrf: Option<(Option<Sym>, Rd)>| vrf.and_then(|(name, _)| name);
        Known {
            ingress: name(ingress),
            egress: name(egress),
            own: name(through).or(name(ingress)).or(name(egress)),
            rd: through.or(ingress).or(egress).map(|(_, rd)| rd),
        }
    }
}
