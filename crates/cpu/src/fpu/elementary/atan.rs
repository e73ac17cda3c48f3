//! The arctangent of a quotient.

use super::wide::{Wide, polynomial, value_of};

/// Pi.
const PI: Wide = Wide::constant(1, 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1);

/// 1/(2n + 1) in units of 2^-126: atan(d)/d by powers of d^2.
const ODD: [u128; 12] = {
    let mut c = [0; 12];
    let mut n = 0;
    while n < 12 {
        c[n] = (1 << 126) / (2 * n as u128 + 1);
        n += 1;
    }
    c
};

/// atan(i/32) in units of 2^-128.
const TABLE: [u128; 33] = [
    0x0000_0000_0000_0000_0000_0000_0000_0000,
    0x07ff_556e_ea5d_892a_13bc_ebbb_6ed4_6311,
    0x0ffa_addb_967e_f4e3_6cb2_792d_c0e2_e0d5,
    0x17ee_1826_02f1_0e8c_126a_cfcf_099f_06cf,
    0x1fd5_ba9a_ac2f_6dc6_5912_f313_e7d1_11df,
    0x27ad_ddd1_8cc4_d8b0_d1d8_6749_40d8_3fa1,
    0x2f72_f697_9cb6_044d_1ec2_d3e2_0727_1d22,
    0x3721_aea5_24c1_4408_bd88_6970_72d5_4bc1,
    0x3eb6_ebf2_5901_bac5_5b71_e7bd_7de8_85f9,
    0x462f_d68c_2fc5_e098_6523_a458_dfc4_14c7,
    0x4d89_dcdc_1faf_2f34_e2d5_da4c_693d_7994,
    0x54c2_b665_4735_276d_4cdb_fbbd_fbec_f461,
    0x5bd8_6507_937b_c239_c551_9091_6e7f_2242,
    0x62c9_34e5_286c_95b6_d0ba_3748_fa85_146f,
    0x6993_bb0f_308f_f2db_213e_4af4_800f_389b,
    0x7036_d325_3b27_be33_e318_f6cb_3cc6_5c02,
    0x76b1_9c15_86ed_3da2_b7f2_22f6_5e1d_4682,
    0x7d03_742d_5050_5f2e_3369_1e3e_aee4_7661,
    0x832b_f4a6_d986_7e2a_4b6a_09cb_61a5_15c1,
    0x892a_ecdf_de95_47b5_0944_78fc_472b_4afc,
    0x8f00_5d5e_f7f5_9f9b_5c83_5e16_65c4_3748,
    0x94ac_72c9_8471_86f6_18c4_f393_f78a_32f9,
    0x9a2f_80e6_71bd_da20_4226_f8e2_204f_f3bd,
    0x9f89_fdc4_f4b7_a1ec_f8b4_9264_4f07_01e0,
    0xa4bc_7d19_34f7_0924_19a8_7f2a_457d_ac9f,
    0xa9c7_abdc_4830_f5c8_916a_84b5_be79_33f6,
    0xaeac_4c38_b4d8_c080_1472_5e2f_3e52_070a,
    0xb36b_31c9_1f04_3691_5901_4174_4462_f93a,
    0xb805_3e2b_c231_9e73_cb2d_a552_10a4_443d,
    0xbc7b_5dea_e98a_f280_d411_3006_e80f_b290,
    0xc0ce_85b8_ac52_6640_89dd_62c4_6e92_fa25,
    0xc4ff_affa_bf8f_bd54_8cb4_3d10_bc9e_0221,
    0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1,
];

/// atan(z) for z from 0 to 1.
fn of_fraction(z: Wide) -> Wide {
    // The nearest 32nd.
    let i = if z.exp < -6 { 0 } else { ((z.sig >> (121 - z.exp)) as usize + 1) >> 1 };
    let c = Wide::new(false, 122, i as u128);
    let d = z.sub(c).div(Wide::ONE.add(z.mul(c)));
    let rest = d.mul(value_of(polynomial(&ODD, d.mul(d).fraction(), true)));
    let table = TABLE.get(i).copied().unwrap_or_default();
    Wide::new(false, -1, table).add(rest)
}

/// The angle of the point (x, y), both finite and not both zero, from -pi to pi.
pub(crate) fn arctangent(y: Wide, x: Wide) -> Wide {
    let (ay, ax) = (y.with_sign(false), x.with_sign(false));
    let angle = if (ay.exp, ay.sig) <= (ax.exp, ax.sig) {
        of_fraction(ay.div(ax))
    } else {
        PI.scaled(-1).sub(of_fraction(ax.div(ay)))
    };
    let angle = if x.neg { PI.sub(angle) } else { angle };
    angle.with_sign(y.neg)
}
