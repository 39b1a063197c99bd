"""Where the calibration of the band model starts: literature bands and constants, and which of their numbers are free.

Centres are band origins, or the middle of a group of bands, in cm-1: Herzberg, Infrared and Raman Spectra (1945) and
Spectra of Diatomic Molecules (1950); Rothman et al. 1992, JQSRT 48, 537 (CO2 origins and band strengths); Tennyson et
al. 2001, J. Phys. Chem. Ref. Data 30, 735 (H2O levels); Brown et al. 2013, JQSRT 130, 201 (CH4 polyads); the NIST
Chemistry WebBook (CO constants).
"""

from __future__ import annotations

from exobench.opacities.linear_bands import Family, LinearMolecule

H2O_BANDS = [  # centre cm-1, log10 strength (cm/molecule), width below, width above
    (150, -16.9, 80, 150),  # pure rotation, two parts
    (450, -17.5, 150, 150),
    (1500, -17.3, 200, 250),  # nu2 1595, P and R sides
    (1900, -17.5, 150, 150),
    (2500, -19.5, 400, 300),  # hot 2 nu2 - nu2 and wings
    (3200, -18.7, 150, 100),  # 2 nu2 3152
    (3700, -17.2, 120, 130),  # nu1 3657, nu3 3756
    (4100, -18.0, 100, 150),
    (5250, -18.1, 120, 120),  # nu2 + nu3 5331
    (5600, -19.0, 120, 150),
    (7150, -18.3, 150, 120),  # nu1 + nu3 7250
    (8750, -19.2, 120, 120),  # nu1 + nu2 + nu3 8807
    (10500, -19.7, 200, 150),  # 2 nu1 + nu3 10613
    (12150, -20.5, 150, 150),  # 2 nu1 + nu2 + nu3 12151
    (13800, -20.5, 200, 150),  # 3 nu1 + nu3 13831
    (17000, -21.4, 1200, 1000),  # 3 nu1 + nu2 + nu3 15348, 4 nu1 + nu3 16899 and above
]

CH4_BANDS = [
    # nu4 is held near its start, since only its edge lies inside the fitted range: origin and strength are from the
    # literature, and the width is the one that its neighbours start from.
    (1306, -17.28, 80, 80),
    (1534, -18.6, 60, 80),  # nu2
    (2600, -18.7, 80, 80),  # 2 nu4
    (2830, -18.3, 80, 80),  # nu2 + nu4
    (3010, -16.9, 70, 80),  # nu3 3019
    (3300, -18.5, 80, 100),
    (4220, -18.1, 60, 60),  # nu1 + nu4
    (4340, -18.2, 70, 70),  # nu3 + nu4
    (4550, -18.5, 60, 60),  # nu2 + nu3
    (5860, -19.0, 100, 60),  # tetradecad of 6000
    (6010, -19.2, 60, 60),
    (7100, -19.9, 150, 100),  # icosad of 7500
    (7510, -20.3, 100, 100),
    (8600, -20.3, 150, 150),
    (9950, -21.2, 150, 100),
    (11270, -21.6, 150, 100),
]

CH4_TIGHT = {0: 0.1}
"""Bands whose range is narrowed by a factor: few channels see them."""

CO = LinearMolecule(
    rotation_cm=1.9225,
    distortion_cm=6.12e-6,
    bend_cm=0.0,
    stretch_cm=2143.27,
    stretch_anharmonicity_cm=13.288,
    max_bend=0,
    max_stretch=8,
    max_rotation=130,
    rotation_step=0.5,
)

CO_FAMILIES = [
    # Pure rotation: 4.16e-19 cm2/D2 times the square of the dipole moment, 0.110 D.
    Family(0, 0, 0.0, -20.3),
    Family(0, 1, 2143.27, -16.90, 0.0, -26.58, rotation_change_cm=-0.0175),
    Family(0, 2, 4260.06, -19.05, 0.0, -53.16, rotation_change_cm=-0.0350),
    Family(0, 3, 6350.44, -21.20, 0.0, -79.74, rotation_change_cm=-0.0525),
    Family(0, 4, 8414.47, -23.60, 0.0, -106.3, rotation_change_cm=-0.0700),
]
CO_FREE = dict.fromkeys((1, 2, 3, 4), ("log10_strength", "herman_wallis"))

CO2 = LinearMolecule(
    rotation_cm=0.39022,
    distortion_cm=1.33e-7,
    bend_cm=667.38,
    stretch_cm=2349.14,
    stretch_anharmonicity_cm=12.6,
    max_bend=14,
    max_stretch=4,
    max_rotation=160,
    rotation_step=1.0,
)

# d_bend, d_stretch, centre, log10 strength, shift per bend quantum, per stretch quantum, bend power, spread,
# B' - B'', Herman-Wallis, Q share. Shifts start from x13 = -19.4, x23 = -12.4 and x33 = -12.5 cm-1.
CO2_FAMILIES = [
    Family(0, 1, 2349.14, -16.02, -12.4, -25.0, 0.0, 3.0, -0.00308),
    Family(2, 1, 3714.78, -17.80, -15.0, -40.0, 1.0, 15.0, -0.0031),
    Family(2, 1, 3612.84, -17.98, -15.0, -40.0, 1.0, 15.0, -0.0031),
    Family(4, 1, 5099.66, -20.00, -18.0, -45.0, 2.0, 15.0, -0.0031),
    Family(4, 1, 4977.83, -19.45, -18.0, -45.0, 1.5, 15.0, -0.0031),
    Family(4, 1, 4853.62, -20.10, -18.0, -45.0, 1.5, 15.0, -0.0031),
    Family(6, 1, 6290.00, -21.20, -20.0, -45.0, 3.0, 60.0, -0.0031),
    Family(0, 3, 6972.58, -20.85, -37.0, -75.0, 0.0, 5.0, -0.0092),
    Family(8, 1, 7660.00, -22.80, -20.0, -45.0, 3.0, 60.0, -0.0031),
    Family(2, 3, 8293.95, -21.50, -37.0, -85.0, 1.0, 20.0, -0.0092),
    Family(2, 3, 8192.55, -21.60, -37.0, -85.0, 1.0, 20.0, -0.0092),
    Family(4, 3, 9450.00, -22.30, -40.0, -85.0, 2.0, 50.0, -0.0092),
    Family(0, 5, 11496.9, -23.50, -60.0, -125.0, 0.0, 10.0, -0.0154),
    Family(2, 5, 12720.0, -23.50, -60.0, -125.0, 1.0, 60.0, -0.0154),
    Family(3, 0, 2077.00, -19.80, -5.0, -30.0, 1.5, 40.0, 0.0, 0.0, 0.3),
    Family(3, 0, 1932.00, -20.50, -5.0, -30.0, 1.5, 40.0, 0.0, 0.0, 0.3),
    Family(5, 0, 3180.00, -21.50, -10.0, -40.0, 2.0, 60.0, 0.0, 0.0, 0.3),
    Family(5, 0, 3340.00, -21.50, -10.0, -40.0, 2.0, 60.0, 0.0, 0.0, 0.3),
    Family(-1, 1, 1682.00, -21.60, -10.0, -25.0, 1.0, 60.0, 0.0, 0.0, 0.3),
    Family(-1, 2, 4006.00, -22.00, -20.0, -60.0, 1.0, 30.0, -0.0060, 0.0, 0.3),
    Family(1, 1, 3004.00, -22.50, -10.0, -40.0, 1.0, 30.0, -0.0030, 0.0, 0.3),
    Family(3, 1, 4320.00, -22.50, -15.0, -40.0, 1.5, 50.0, -0.0030, 0.0, 0.3),
    Family(5, 1, 5600.00, -22.50, -15.0, -40.0, 2.0, 60.0, -0.0030, 0.0, 0.3),
    Family(1, 2, 5315.00, -22.00, -20.0, -60.0, 1.0, 30.0, -0.0060, 0.0, 0.3),
    Family(1, 3, 7602.00, -22.80, -37.0, -85.0, 1.0, 30.0, -0.0090, 0.0, 0.3),
    # Beyond the fitted range, kept at the literature: nu2 with its Fermi-split hot bands (618, 668, 721 cm-1) and
    # the laser bands. Strengths are those of Rothman et al. per molecule in the lower state; the laser bands move by
    # x23 as nu3 does, and spread as nu2 does.
    Family(1, 0, 667.38, -17.045, -0.5, -12.0, 1.0, 30.0, -0.0001, 0.0, 0.5),
    Family(-2, 1, 960.96, -19.00, -12.4, -25.0, 1.0, 30.0, -0.0031),
    Family(-2, 1, 1063.73, -19.07, -12.4, -25.0, 1.0, 30.0, -0.0031),
]
CO2_FREE: dict[int, tuple[str, ...]] = dict.fromkeys(range(25), ("log10_strength", "bend_power"))
CO2_FREE |= dict.fromkeys(range(8), ("log10_strength", "bend_power", "shift_bend_cm", "spread_cm"))

CO2_BANDS = [  # what is left between the families: far wings beyond the band heads and crowds of weak hot bands
    (2460, -20.6, 40, 40),
    (3450, -20.7, 150, 150),
    (2750, -21.5, 150, 150),
    (4400, -22.0, 200, 200),
    (7700, -22.0, 300, 300),
]

CIA_BANDS = {  # centre, log10 strength (cm-2 amagat-2), widths: rotation-translation, fundamental and overtones of H2
    "H2-H2": [
        (150, -5.0, 100, 150),
        (450, -2.9, 150, 150),
        (900, -3.2, 200, 250),
        (2300, -4.5, 400, 400),
        (4160, -2.6, 200, 200),
        (4700, -2.9, 250, 300),
        (6000, -5.0, 500, 500),
        (8300, -4.6, 250, 350),
        (9300, -5.5, 300, 500),
        (12000, -6.5, 400, 600),
    ],
    "H2-He": [
        (350, -3.3, 200, 300),
        (900, -3.4, 300, 300),
        (2000, -4.5, 500, 500),
        (4160, -2.5, 150, 200),
        (4700, -3.2, 300, 400),
        (6500, -5.0, 600, 600),
        (8200, -4.5, 250, 400),
        (9500, -5.5, 500, 600),
        (12000, -6.0, 300, 600),
    ],
}

OVERLAP_KNOTS_UM = {
    "H2O": [0.55, 1.2, 1.45, 1.8, 2.2, 2.6, 3.3, 3.9, 5.2, 6.6],
    "CO2": [1.3, 1.5, 1.9, 2.1, 2.4, 2.7, 3.3, 4.2, 5.2, 6.6],
    "CO": [1.6, 2.35, 4.3, 4.6, 5.2],
    "CH4": [1.2, 1.7, 2.2, 2.7, 3.2, 4.0, 5.0, 7.0],
}
