extension Encodings {
  /// Moves of scalars and parts, broadcasts, lanes.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Programming with Intel AVX, FMA, and Intel AVX2'.
  static let avxMoves: [Family] = [
    Family(
      .mov_ss, "vmovss", feature: .avx,
      rows: "VEX F3 0F 10 : Vdq,Mss", "VEX F3 0F 10 : Vdq,Hdq,Udq", "VEX F3 0F 11 : Mss,Vdq",
      "VEX F3 0F 11 : Udq,Hdq,Vdq"),
    Family(
      .mov_sd, "vmovsd", feature: .avx,
      rows: "VEX F2 0F 10 : Vdq,Msd", "VEX F2 0F 10 : Vdq,Hdq,Udq", "VEX F2 0F 11 : Msd,Vdq",
      "VEX F2 0F 11 : Udq,Hdq,Vdq"),
    Family(
      .movl, "vmovlps", feature: .avx,
      rows: "VEX L0 NP 0F 12 : Vdq,Hdq,Mq", "VEX L0 NP 0F 13 : Mq,Vdq"),
    Family(
      .movh, "vmovhps", feature: .avx,
      rows: "VEX L0 NP 0F 16 : Vdq,Hdq,Mq", "VEX L0 NP 0F 17 : Mq,Vdq"),
    Family(
      .movl, "vmovlpd", feature: .avx,
      rows: "VEX L0 66 0F 12 : Vdq,Hdq,Mq", "VEX L0 66 0F 13 : Mq,Vdq"),
    Family(
      .movh, "vmovhpd", feature: .avx,
      rows: "VEX L0 66 0F 16 : Vdq,Hdq,Mq", "VEX L0 66 0F 17 : Mq,Vdq"),
    Family(.movhlps, "vmovhlps", feature: .avx, rows: "VEX L0 NP 0F 12 : Vdq,Hdq,Udq"),
    Family(.movlhps, "vmovlhps", feature: .avx, rows: "VEX L0 NP 0F 16 : Vdq,Hdq,Udq"),
    Family(
      .movddup, "vmovddup", feature: .avx,
      rows: "VEX L0 F2 0F 12 : Vdq,Wq", "VEX L1 F2 0F 12 : Vqq,Wqq"),
    Family(
      .movaps, "vmovntdqa", "......", .aligned, .avx, wide: .avx2, rows: "VEX 66 0F 38 2A : Vx,Mx"),
    Family(.insr, "vpinsrw", feature: .avx, rows: "VEX L0 66 0F C4 : Vdq,Hdq,Emw,Ib"),
    Family(.insr, "vpinsrb", feature: .avx, rows: "VEX L0 66 0F 3A 20 : Vdq,Hdq,Emb,Ib"),
    Family(
      .insr, "vpinsrd", feature: .avx,
      rows: "VEX L0 66 W0 0F 3A 22 : Vdq,Hdq,Ey,Ib",
      "VEX L0 66 W1 0F 3A 22 : Vdq,Hdq,Ey,Ib : vpinsrq"),
    Family(.extrw, "vpextrw", feature: .avx, rows: "VEX L0 66 0F C5 : Gd,Udq,Ib"),
    Family(
      .extr, "vpextrb", feature: .avx,
      rows: "VEX L0 66 0F 3A 14 : Emb,Vdq,Ib", "VEX L0 66 0F 3A 15 : Emw,Vdq,Ib : vpextrw"),
    Family(
      .extr, "vpextrd", feature: .avx,
      rows: "VEX L0 66 W0 0F 3A 16 : Ey,Vdq,Ib", "VEX L0 66 W1 0F 3A 16 : Ey,Vdq,Ib : vpextrq",
      "VEX L0 66 0F 3A 17 : Ed,Vdq,Ib : vextractps"),
    Family(.insertps, "vinsertps", feature: .avx, rows: "VEX L0 66 0F 3A 21 : Vdq,Hdq,Wss,Ib"),
    Family(.ldmxcsr, "vldmxcsr", feature: .avx, rows: "VEX L0 NP 0F AE /2 : Md"),
    Family(.stmxcsr, "vstmxcsr", feature: .avx, rows: "VEX L0 NP 0F AE /3 : Md"),
    Family(
      .vzero, "vzeroupper", feature: .avx,
      rows: "VEX L0 NP 0F 77 :", "VEX L1 NP 0F 77 : : vzeroall"),
    Family(.broadcastd, "vbroadcastss", feature: .avx, rows: "VEX W0 66 0F 38 18 : Vx,Md"),
    Family(.broadcastd, "vbroadcastss", feature: .avx2, rows: "VEX W0 66 0F 38 18 : Vx,Udq"),
    Family(.broadcastq, "vbroadcastsd", feature: .avx, rows: "VEX L1 W0 66 0F 38 19 : Vqq,Mq"),
    Family(.broadcastq, "vbroadcastsd", feature: .avx2, rows: "VEX L1 W0 66 0F 38 19 : Vqq,Udq"),
    Family(.broadcastdq, "vbroadcastf128", feature: .avx, rows: "VEX L1 W0 66 0F 38 1A : Vqq,Mdq"),
    Family(.broadcastdq, "vbroadcasti128", feature: .avx2, rows: "VEX L1 W0 66 0F 38 5A : Vqq,Mdq"),
    Family(.broadcastb, "vpbroadcastb", feature: .avx2, rows: "VEX W0 66 0F 38 78 : Vx,Wb"),
    Family(.broadcastw, "vpbroadcastw", feature: .avx2, rows: "VEX W0 66 0F 38 79 : Vx,Wh"),
    Family(.broadcastd, "vpbroadcastd", feature: .avx2, rows: "VEX W0 66 0F 38 58 : Vx,Wd"),
    Family(.broadcastq, "vpbroadcastq", feature: .avx2, rows: "VEX W0 66 0F 38 59 : Vx,Wq"),
    Family(.perm2f128, "vperm2f128", feature: .avx, rows: "VEX L1 W0 66 0F 3A 06 : Vqq,Hqq,Wqq,Ib"),
    Family(
      .perm2f128, "vperm2i128", feature: .avx2,
      rows: "VEX L1 W0 66 0F 3A 46 : Vqq,Hqq,Wqq,Ib"),
    Family(
      .insertf128, "vinsertf128", feature: .avx,
      rows: "VEX L1 W0 66 0F 3A 18 : Vqq,Hqq,Wdq,Ib"),
    Family(
      .insertf128, "vinserti128", feature: .avx2,
      rows: "VEX L1 W0 66 0F 3A 38 : Vqq,Hqq,Wdq,Ib"),
    Family(.extractf128, "vextractf128", feature: .avx, rows: "VEX L1 W0 66 0F 3A 19 : Wdq,Vqq,Ib"),
    Family(
      .extractf128, "vextracti128", feature: .avx2,
      rows: "VEX L1 W0 66 0F 3A 39 : Wdq,Vqq,Ib"),
    Family(
      .maskmovd, "vmaskmovps", feature: .avx,
      rows: "VEX W0 66 0F 38 2C : Vx,Hx,Mx", "VEX W0 66 0F 38 2E : Mx,Hx,Vx"),
    Family(
      .maskmovqq, "vmaskmovpd", feature: .avx,
      rows: "VEX W0 66 0F 38 2D : Vx,Hx,Mx", "VEX W0 66 0F 38 2F : Mx,Hx,Vx"),
    Family(
      .maskmovd, "vpmaskmovd", feature: .avx2,
      rows: "VEX W0 66 0F 38 8C : Vx,Hx,Mx", "VEX W0 66 0F 38 8E : Mx,Hx,Vx"),
    Family(
      .maskmovqq, "vpmaskmovq", feature: .avx2,
      rows: "VEX W1 66 0F 38 8C : Vx,Hx,Mx", "VEX W1 66 0F 38 8E : Mx,Hx,Vx"),
  ]

  /// Permutations, blends, shifts, conversions, gathers.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Programming with Intel AVX, FMA, and Intel AVX2'.
  static let avxLanes: [Family] = [
    Family(.permilps, "vpermilps", feature: .avx, rows: "VEX W0 66 0F 38 0C : Vx,Hx,Wx"),
    Family(.permilps_i, "vpermilps", feature: .avx, rows: "VEX W0 66 0F 3A 04 : Vx,Wx,Ib"),
    Family(.permilpd, "vpermilpd", feature: .avx, rows: "VEX W0 66 0F 38 0D : Vx,Hx,Wx"),
    Family(.permilpd_i, "vpermilpd", feature: .avx, rows: "VEX W0 66 0F 3A 05 : Vx,Wx,Ib"),
    Family(.permd, "vpermd", feature: .avx2, rows: "VEX L1 W0 66 0F 38 36 : Vqq,Hqq,Wqq"),
    Family(.permd, "vpermps", feature: .avx2, rows: "VEX L1 W0 66 0F 38 16 : Vqq,Hqq,Wqq"),
    Family(.permq, "vpermq", feature: .avx2, rows: "VEX L1 W1 66 0F 3A 00 : Vqq,Wqq,Ib"),
    Family(.permq, "vpermpd", feature: .avx2, rows: "VEX L1 W1 66 0F 3A 01 : Vqq,Wqq,Ib"),
    Family(.blendps, "vpblendd", feature: .avx2, rows: "VEX W0 66 0F 3A 02 : Vx,Hx,Wx,Ib"),
    Family(
      .pblendvb, "vpblendvb", feature: .avx, wide: .avx2, rows: "VEX W0 66 0F 3A 4C : Vx,Hx,Wx,Lx"),
    Family(.blendvps, "vblendvps", feature: .avx, rows: "VEX W0 66 0F 3A 4A : Vx,Hx,Wx,Lx"),
    Family(.blendvpd, "vblendvpd", feature: .avx, rows: "VEX W0 66 0F 3A 4B : Vx,Hx,Wx,Lx"),
    Family(.testps, "vtestps", "00M00M", feature: .avx, rows: "VEX W0 66 0F 38 0E : Vx,Wx"),
    Family(.testpd, "vtestpd", "00M00M", feature: .avx, rows: "VEX W0 66 0F 38 0F : Vx,Wx"),
    Family(.sllv, "vpsllvd", feature: .avx2, rows: "VEX W0 66 0F 38 47 : Vx,Hx,Wx"),
    Family(.sllvq, "vpsllvq", feature: .avx2, rows: "VEX W1 66 0F 38 47 : Vx,Hx,Wx"),
    Family(.srlv, "vpsrlvd", feature: .avx2, rows: "VEX W0 66 0F 38 45 : Vx,Hx,Wx"),
    Family(.srlvq, "vpsrlvq", feature: .avx2, rows: "VEX W1 66 0F 38 45 : Vx,Hx,Wx"),
    Family(.srav, "vpsravd", feature: .avx2, rows: "VEX W0 66 0F 38 46 : Vx,Hx,Wx"),
    Family(.phminposuw, "vphminposuw", feature: .avx, rows: "VEX L0 66 0F 38 41 : Vdq,Wdq"),
    Family(.dppd, "vdppd", feature: .avx, rows: "VEX L0 66 0F 3A 41 : Vdq,Hdq,Wdq,Ib"),
    Family(
      .pcmpestrm, "vpcmpestrm", "MMM00M", feature: .avx,
      rows: "VEX L0 66 0F 3A 60 : Vdq,Wdq,Ib"),
    Family(
      .pcmpestri, "vpcmpestri", "MMM00M", feature: .avx,
      rows: "VEX L0 66 0F 3A 61 : Vdq,Wdq,Ib"),
    Family(
      .pcmpistrm, "vpcmpistrm", "MMM00M", feature: .avx,
      rows: "VEX L0 66 0F 3A 62 : Vdq,Wdq,Ib"),
    Family(
      .pcmpistri, "vpcmpistri", "MMM00M", feature: .avx,
      rows: "VEX L0 66 0F 3A 63 : Vdq,Wdq,Ib"),
    Family(
      .pmovsxbw, "vpmovsxbw", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 20 : Vdq,Wq", "VEX L1 66 0F 38 20 : Vqq,Wdq"),
    Family(
      .pmovsxbd, "vpmovsxbd", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 21 : Vdq,Wd", "VEX L1 66 0F 38 21 : Vqq,Wq"),
    Family(
      .pmovsxbq, "vpmovsxbq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 22 : Vdq,Wh", "VEX L1 66 0F 38 22 : Vqq,Wd"),
    Family(
      .pmovsxwd, "vpmovsxwd", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 23 : Vdq,Wq", "VEX L1 66 0F 38 23 : Vqq,Wdq"),
    Family(
      .pmovsxwq, "vpmovsxwq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 24 : Vdq,Wd", "VEX L1 66 0F 38 24 : Vqq,Wq"),
    Family(
      .pmovsxdq, "vpmovsxdq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 25 : Vdq,Wq", "VEX L1 66 0F 38 25 : Vqq,Wdq"),
    Family(
      .pmovzxbw, "vpmovzxbw", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 30 : Vdq,Wq", "VEX L1 66 0F 38 30 : Vqq,Wdq"),
    Family(
      .pmovzxbd, "vpmovzxbd", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 31 : Vdq,Wd", "VEX L1 66 0F 38 31 : Vqq,Wq"),
    Family(
      .pmovzxbq, "vpmovzxbq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 32 : Vdq,Wh", "VEX L1 66 0F 38 32 : Vqq,Wd"),
    Family(
      .pmovzxwd, "vpmovzxwd", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 33 : Vdq,Wq", "VEX L1 66 0F 38 33 : Vqq,Wdq"),
    Family(
      .pmovzxwq, "vpmovzxwq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 34 : Vdq,Wd", "VEX L1 66 0F 38 34 : Vqq,Wq"),
    Family(
      .pmovzxdq, "vpmovzxdq", feature: .avx, wide: .avx2,
      rows: "VEX L0 66 0F 38 35 : Vdq,Wq", "VEX L1 66 0F 38 35 : Vqq,Wdq"),
    Family(
      .cvtps2pd, "vcvtps2pd", feature: .avx,
      rows: "VEX L0 NP 0F 5A : Vdq,Wq", "VEX L1 NP 0F 5A : Vqq,Wdq"),
    Family(
      .cvtdq2pd, "vcvtdq2pd", feature: .avx,
      rows: "VEX L0 F3 0F E6 : Vdq,Wq", "VEX L1 F3 0F E6 : Vqq,Wdq"),
    Family(
      .cvtpd2ps, "vcvtpd2ps", feature: .avx,
      rows: "VEX L0 66 0F 5A : Vdq,Wdq", "VEX L1 66 0F 5A : Vdq,Wqq"),
    Family(
      .cvttpd2dq, "vcvttpd2dq", feature: .avx,
      rows: "VEX L0 66 0F E6 : Vdq,Wdq", "VEX L1 66 0F E6 : Vdq,Wqq"),
    Family(
      .cvtpd2dq, "vcvtpd2dq", feature: .avx,
      rows: "VEX L0 F2 0F E6 : Vdq,Wdq", "VEX L1 F2 0F E6 : Vdq,Wqq"),
    Family(
      .cvtph2ps, "vcvtph2ps", feature: .f16c,
      rows: "VEX L0 W0 66 0F 38 13 : Vdq,Wq", "VEX L1 W0 66 0F 38 13 : Vqq,Wdq"),
    Family(
      .cvtps2ph, "vcvtps2ph", feature: .f16c,
      rows: "VEX L0 W0 66 0F 3A 1D : Wq,Vdq,Ib", "VEX L1 W0 66 0F 3A 1D : Wdq,Vqq,Ib"),
    Family(.gather, "vpgatherdd", feature: .avx2, rows: "VEX W0 66 0F 38 90 : Vx,Mvx,Hx"),
    Family(.gather, "vpgatherdq", feature: .avx2, rows: "VEX W1 66 0F 38 90 : Vx,Mvd,Hx"),
    Family(.gather, "vpgatherqd", feature: .avx2, rows: "VEX W0 66 0F 38 91 : Vdq,Mvx,Hdq"),
    Family(.gather, "vpgatherqq", feature: .avx2, rows: "VEX W1 66 0F 38 91 : Vx,Mvx,Hx"),
    Family(.gather, "vgatherdps", feature: .avx2, rows: "VEX W0 66 0F 38 92 : Vx,Mvx,Hx"),
    Family(.gather, "vgatherdpd", feature: .avx2, rows: "VEX W1 66 0F 38 92 : Vx,Mvd,Hx"),
    Family(.gather, "vgatherqps", feature: .avx2, rows: "VEX W0 66 0F 38 93 : Vdq,Mvx,Hdq"),
    Family(.gather, "vgatherqpd", feature: .avx2, rows: "VEX W1 66 0F 38 93 : Vx,Mvx,Hx"),
  ]

  /// Fused multiplication and addition.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Programming with Intel AVX, FMA, and Intel AVX2'.
  static let fma: [Family] = [
    Family(.fmaddsubp, "vfmaddsub132ps", feature: .fma, rows: "VEX W0 66 0F 38 96 : Vx,Hx,Wx"),
    Family(.fmaddsubp, "vfmaddsub132pd", feature: .fma, rows: "VEX W1 66 0F 38 96 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd132ps", feature: .fma, rows: "VEX W0 66 0F 38 97 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd132pd", feature: .fma, rows: "VEX W1 66 0F 38 97 : Vx,Hx,Wx"),
    Family(.fmaddp, "vfmadd132ps", feature: .fma, rows: "VEX W0 66 0F 38 98 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd132ss", feature: .fma, rows: "VEX W0 66 0F 38 99 : Vdq,Hdq,Wss"),
    Family(.fmaddp, "vfmadd132pd", feature: .fma, rows: "VEX W1 66 0F 38 98 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd132sd", feature: .fma, rows: "VEX W1 66 0F 38 99 : Vdq,Hdq,Wsd"),
    Family(.fmsubp, "vfmsub132ps", feature: .fma, rows: "VEX W0 66 0F 38 9A : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub132ss", feature: .fma, rows: "VEX W0 66 0F 38 9B : Vdq,Hdq,Wss"),
    Family(.fmsubp, "vfmsub132pd", feature: .fma, rows: "VEX W1 66 0F 38 9A : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub132sd", feature: .fma, rows: "VEX W1 66 0F 38 9B : Vdq,Hdq,Wsd"),
    Family(.fnmaddp, "vfnmadd132ps", feature: .fma, rows: "VEX W0 66 0F 38 9C : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd132ss", feature: .fma, rows: "VEX W0 66 0F 38 9D : Vdq,Hdq,Wss"),
    Family(.fnmaddp, "vfnmadd132pd", feature: .fma, rows: "VEX W1 66 0F 38 9C : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd132sd", feature: .fma, rows: "VEX W1 66 0F 38 9D : Vdq,Hdq,Wsd"),
    Family(.fnmsubp, "vfnmsub132ps", feature: .fma, rows: "VEX W0 66 0F 38 9E : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub132ss", feature: .fma, rows: "VEX W0 66 0F 38 9F : Vdq,Hdq,Wss"),
    Family(.fnmsubp, "vfnmsub132pd", feature: .fma, rows: "VEX W1 66 0F 38 9E : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub132sd", feature: .fma, rows: "VEX W1 66 0F 38 9F : Vdq,Hdq,Wsd"),
    Family(.fmaddsubp, "vfmaddsub213ps", feature: .fma, rows: "VEX W0 66 0F 38 A6 : Vx,Hx,Wx"),
    Family(.fmaddsubp, "vfmaddsub213pd", feature: .fma, rows: "VEX W1 66 0F 38 A6 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd213ps", feature: .fma, rows: "VEX W0 66 0F 38 A7 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd213pd", feature: .fma, rows: "VEX W1 66 0F 38 A7 : Vx,Hx,Wx"),
    Family(.fmaddp, "vfmadd213ps", feature: .fma, rows: "VEX W0 66 0F 38 A8 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd213ss", feature: .fma, rows: "VEX W0 66 0F 38 A9 : Vdq,Hdq,Wss"),
    Family(.fmaddp, "vfmadd213pd", feature: .fma, rows: "VEX W1 66 0F 38 A8 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd213sd", feature: .fma, rows: "VEX W1 66 0F 38 A9 : Vdq,Hdq,Wsd"),
    Family(.fmsubp, "vfmsub213ps", feature: .fma, rows: "VEX W0 66 0F 38 AA : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub213ss", feature: .fma, rows: "VEX W0 66 0F 38 AB : Vdq,Hdq,Wss"),
    Family(.fmsubp, "vfmsub213pd", feature: .fma, rows: "VEX W1 66 0F 38 AA : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub213sd", feature: .fma, rows: "VEX W1 66 0F 38 AB : Vdq,Hdq,Wsd"),
    Family(.fnmaddp, "vfnmadd213ps", feature: .fma, rows: "VEX W0 66 0F 38 AC : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd213ss", feature: .fma, rows: "VEX W0 66 0F 38 AD : Vdq,Hdq,Wss"),
    Family(.fnmaddp, "vfnmadd213pd", feature: .fma, rows: "VEX W1 66 0F 38 AC : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd213sd", feature: .fma, rows: "VEX W1 66 0F 38 AD : Vdq,Hdq,Wsd"),
    Family(.fnmsubp, "vfnmsub213ps", feature: .fma, rows: "VEX W0 66 0F 38 AE : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub213ss", feature: .fma, rows: "VEX W0 66 0F 38 AF : Vdq,Hdq,Wss"),
    Family(.fnmsubp, "vfnmsub213pd", feature: .fma, rows: "VEX W1 66 0F 38 AE : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub213sd", feature: .fma, rows: "VEX W1 66 0F 38 AF : Vdq,Hdq,Wsd"),
    Family(.fmaddsubp, "vfmaddsub231ps", feature: .fma, rows: "VEX W0 66 0F 38 B6 : Vx,Hx,Wx"),
    Family(.fmaddsubp, "vfmaddsub231pd", feature: .fma, rows: "VEX W1 66 0F 38 B6 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd231ps", feature: .fma, rows: "VEX W0 66 0F 38 B7 : Vx,Hx,Wx"),
    Family(.fmsubaddp, "vfmsubadd231pd", feature: .fma, rows: "VEX W1 66 0F 38 B7 : Vx,Hx,Wx"),
    Family(.fmaddp, "vfmadd231ps", feature: .fma, rows: "VEX W0 66 0F 38 B8 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd231ss", feature: .fma, rows: "VEX W0 66 0F 38 B9 : Vdq,Hdq,Wss"),
    Family(.fmaddp, "vfmadd231pd", feature: .fma, rows: "VEX W1 66 0F 38 B8 : Vx,Hx,Wx"),
    Family(.fmadds, "vfmadd231sd", feature: .fma, rows: "VEX W1 66 0F 38 B9 : Vdq,Hdq,Wsd"),
    Family(.fmsubp, "vfmsub231ps", feature: .fma, rows: "VEX W0 66 0F 38 BA : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub231ss", feature: .fma, rows: "VEX W0 66 0F 38 BB : Vdq,Hdq,Wss"),
    Family(.fmsubp, "vfmsub231pd", feature: .fma, rows: "VEX W1 66 0F 38 BA : Vx,Hx,Wx"),
    Family(.fmsubs, "vfmsub231sd", feature: .fma, rows: "VEX W1 66 0F 38 BB : Vdq,Hdq,Wsd"),
    Family(.fnmaddp, "vfnmadd231ps", feature: .fma, rows: "VEX W0 66 0F 38 BC : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd231ss", feature: .fma, rows: "VEX W0 66 0F 38 BD : Vdq,Hdq,Wss"),
    Family(.fnmaddp, "vfnmadd231pd", feature: .fma, rows: "VEX W1 66 0F 38 BC : Vx,Hx,Wx"),
    Family(.fnmadds, "vfnmadd231sd", feature: .fma, rows: "VEX W1 66 0F 38 BD : Vdq,Hdq,Wsd"),
    Family(.fnmsubp, "vfnmsub231ps", feature: .fma, rows: "VEX W0 66 0F 38 BE : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub231ss", feature: .fma, rows: "VEX W0 66 0F 38 BF : Vdq,Hdq,Wss"),
    Family(.fnmsubp, "vfnmsub231pd", feature: .fma, rows: "VEX W1 66 0F 38 BE : Vx,Hx,Wx"),
    Family(.fnmsubs, "vfnmsub231sd", feature: .fma, rows: "VEX W1 66 0F 38 BF : Vdq,Hdq,Wsd"),
  ]
}
