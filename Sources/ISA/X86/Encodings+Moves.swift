extension Encodings {
  /// Moves of vectors and parts of them.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Intel Streaming SIMD Extensions Instructions' and following.
  static let vectorMoves: [Family] = [
    Family(.movups, "movups", feature: .sse, rows: "NP 0F 10 : Vx,Wx", "NP 0F 11 : Wx,Vx"),
    Family(.movups, "vmovups", feature: .avx, rows: "VEX NP 0F 10 : Vx,Wx", "VEX NP 0F 11 : Wx,Vx"),
    Family(.movups, "movupd", feature: .sse2, rows: "66 0F 10 : Vx,Wx", "66 0F 11 : Wx,Vx"),
    Family(.movups, "vmovupd", feature: .avx, rows: "VEX 66 0F 10 : Vx,Wx", "VEX 66 0F 11 : Wx,Vx"),
    Family(
      .movaps, "movaps", "......", .aligned, .sse, rows: "NP 0F 28 : Vx,Wx", "NP 0F 29 : Wx,Vx"),
    Family(
      .movaps, "vmovaps", "......", .aligned, .avx, rows: "VEX NP 0F 28 : Vx,Wx",
      "VEX NP 0F 29 : Wx,Vx"),
    Family(
      .movaps, "movapd", "......", .aligned, .sse2, rows: "66 0F 28 : Vx,Wx", "66 0F 29 : Wx,Vx"),
    Family(
      .movaps, "vmovapd", "......", .aligned, .avx, rows: "VEX 66 0F 28 : Vx,Wx",
      "VEX 66 0F 29 : Wx,Vx"),
    Family(.movups, "movdqu", feature: .sse2, rows: "F3 0F 6F : Vx,Wx", "F3 0F 7F : Wx,Vx"),
    Family(.movups, "vmovdqu", feature: .avx, rows: "VEX F3 0F 6F : Vx,Wx", "VEX F3 0F 7F : Wx,Vx"),
    Family(
      .movaps, "movdqa", "......", .aligned, .sse2, rows: "66 0F 6F : Vx,Wx", "66 0F 7F : Wx,Vx"),
    Family(
      .movaps, "vmovdqa", "......", .aligned, .avx, rows: "VEX 66 0F 6F : Vx,Wx",
      "VEX 66 0F 7F : Wx,Vx"),
    Family(.movaps, "movntps", "......", .aligned, .sse, rows: "NP 0F 2B : Mx,Vx"),
    Family(.movaps, "vmovntps", "......", .aligned, .avx, rows: "VEX NP 0F 2B : Mx,Vx"),
    Family(.movaps, "movntpd", "......", .aligned, .sse2, rows: "66 0F 2B : Mx,Vx"),
    Family(.movaps, "vmovntpd", "......", .aligned, .avx, rows: "VEX 66 0F 2B : Mx,Vx"),
    Family(.movaps, "movntdq", "......", .aligned, .sse2, rows: "66 0F E7 : Mx,Vx"),
    Family(.movaps, "vmovntdq", "......", .aligned, .avx, rows: "VEX 66 0F E7 : Mx,Vx"),
    Family(.movaps, "movntdqa", "......", .aligned, .sse41, rows: "66 0F 38 2A : Vx,Mx"),
    Family(.movups, "lddqu", feature: .sse3, rows: "F2 0F F0 : Vx,Mx"),
    Family(.movups, "vlddqu", feature: .avx, rows: "VEX F2 0F F0 : Vx,Mx"),
    Family(.mov, "movnti", feature: .sse2, rows: "NP 0F C3 : My,Gy"),
    Family(.mov_ss, "movss", feature: .sse, rows: "F3 0F 10 : Vdq,Wss", "F3 0F 11 : Wss,Vdq"),
    Family(.mov_sd, "movsd", feature: .sse2, rows: "F2 0F 10 : Vdq,Wsd", "F2 0F 11 : Wsd,Vdq"),
    Family(.movl, "movlps", feature: .sse, rows: "NP 0F 12 : Vdq,Mq", "NP 0F 13 : Mq,Vdq"),
    Family(.movl, "movlpd", feature: .sse2, rows: "66 0F 12 : Vdq,Mq", "66 0F 13 : Mq,Vdq"),
    Family(.movh, "movhps", feature: .sse, rows: "NP 0F 16 : Vdq,Mq", "NP 0F 17 : Mq,Vdq"),
    Family(.movh, "movhpd", feature: .sse2, rows: "66 0F 16 : Vdq,Mq", "66 0F 17 : Mq,Vdq"),
    Family(.movhlps, "movhlps", feature: .sse, rows: "NP 0F 12 : Vdq,Udq"),
    Family(.movlhps, "movlhps", feature: .sse, rows: "NP 0F 16 : Vdq,Udq"),
    Family(.movddup, "movddup", feature: .sse3, rows: "F2 0F 12 : Vdq,Wq"),
    Family(.movsldup, "movsldup", "......", .aligned, .sse3, rows: "F3 0F 12 : Vx,Wx"),
    Family(.movsldup, "vmovsldup", feature: .avx, rows: "VEX F3 0F 12 : Vx,Wx"),
    Family(.movshdup, "movshdup", "......", .aligned, .sse3, rows: "F3 0F 16 : Vx,Wx"),
    Family(.movshdup, "vmovshdup", feature: .avx, rows: "VEX F3 0F 16 : Vx,Wx"),
    Family(
      .movd_to, "movd", feature: .sse2, rows: "66 W0 0F 6E : Vdq,Ey", "66 W1 0F 6E : Vdq,Ey : movq"),
    Family(
      .movd_from, "movd", feature: .sse2, rows: "66 W0 0F 7E : Ey,Vdq",
      "66 W1 0F 7E : Ey,Vdq : movq"),
    Family(.movq_load, "movq", feature: .sse2, rows: "F3 0F 7E : Vdq,Wq", "66 0F D6 : Wq,Vdq"),
    Family(
      .movd_to, "vmovd", feature: .avx, rows: "VEX L0 66 W0 0F 6E : Vdq,Ey",
      "VEX L0 66 W1 0F 6E : Vdq,Ey : vmovq"),
    Family(
      .movd_from, "vmovd", feature: .avx, rows: "VEX L0 66 W0 0F 7E : Ey,Vdq",
      "VEX L0 66 W1 0F 7E : Ey,Vdq : vmovq"),
    Family(
      .movq_load, "vmovq", feature: .avx, rows: "VEX L0 F3 0F 7E : Vdq,Wq",
      "VEX L0 66 0F D6 : Wq,Vdq"),
    Family(.movmskps, "movmskps", feature: .sse, rows: "NP 0F 50 : Gd,Ux"),
    Family(.movmskps, "vmovmskps", feature: .avx, rows: "VEX NP 0F 50 : Gd,Ux"),
    Family(.movmskpd, "movmskpd", feature: .sse2, rows: "66 0F 50 : Gd,Ux"),
    Family(.movmskpd, "vmovmskpd", feature: .avx, rows: "VEX 66 0F 50 : Gd,Ux"),
    Family(.pmovmskb, "pmovmskb", feature: .sse2, rows: "66 0F D7 : Gd,Ux"),
    Family(.pmovmskb, "vpmovmskb", feature: .avx, wide: .avx2, rows: "VEX 66 0F D7 : Gd,Ux"),
    Family(.insr, "pinsrw", feature: .sse2, rows: "66 0F C4 : Vdq,Emw,Ib"),
    Family(.extrw, "pextrw", feature: .sse2, rows: "66 0F C5 : Gd,Udq,Ib"),
    Family(.insr, "pinsrb", feature: .sse41, rows: "66 0F 3A 20 : Vdq,Emb,Ib"),
    Family(
      .insr, "pinsrd", feature: .sse41, rows: "66 W0 0F 3A 22 : Vdq,Ey,Ib",
      "66 W1 0F 3A 22 : Vdq,Ey,Ib : pinsrq"),
    Family(.extr, "pextrb", feature: .sse41, rows: "66 0F 3A 14 : Emb,Vdq,Ib"),
    Family(.extr, "pextrw", feature: .sse41, rows: "66 0F 3A 15 : Emw,Vdq,Ib"),
    Family(
      .extr, "pextrd", feature: .sse41, rows: "66 W0 0F 3A 16 : Ey,Vdq,Ib",
      "66 W1 0F 3A 16 : Ey,Vdq,Ib : pextrq"),
    Family(.extr, "extractps", feature: .sse41, rows: "66 0F 3A 17 : Ed,Vdq,Ib"),
    Family(.insertps, "insertps", feature: .sse41, rows: "66 0F 3A 21 : Vdq,Wss,Ib"),
    Family(.maskmov, "maskmovdqu", feature: .sse2, rows: "66 0F F7 : Vdq,Udq"),
    Family(.maskmov, "vmaskmovdqu", feature: .avx, rows: "VEX L0 66 0F F7 : Vdq,Udq"),
    Family(.ldmxcsr, "ldmxcsr", feature: .sse, rows: "NP 0F AE /2 : Md"),
    Family(.stmxcsr, "stmxcsr", feature: .sse, rows: "NP 0F AE /3 : Md"),
  ]
}
