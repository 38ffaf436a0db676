extension Encodings {
  /// One of the eight operations of D8 to DF: with ST(0), of ST(i), from memory.
  private static func x87(
    _ op: Op, _ name: String, _ group: Int, other: Int
  ) -> [Family] {
    let integer = "fi" + name.dropFirst()
    return [
      Family(
        op, name, feature: .fpu, rows: "D8 /\(group) : Mss", "DC /\(group) : Msd",
        "D8 /\(group) : ST,STi", "DC /\(other) : STi,ST"),
      Family(op, name + "p", feature: .fpu, rows: "DE /\(other) : STi,ST"),
      Family(op, integer, feature: .fpu, rows: "DA /\(group) : Md", "DE /\(group) : Mw"),
    ]
  }

  /// The x87 unit.
  ///
  /// The register forms that processors execute and the manual leaves out (DC /2 and /3, DD /1, DE /2,
  /// DF /1 to /3: FCOM, FCOMP, FXCH, FSTP by other encodings) are among them but for those that no
  /// assembler has ever written.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'x87 FPU Instructions'; volume 2, 'Escape Opcode Instructions'.
  static let x87: [Family] =
    x87(.fadd, "fadd", 0, other: 0) + x87(.fmul, "fmul", 1, other: 1)
    + x87(.fsub, "fsub", 4, other: 5) + x87(.fsubr, "fsubr", 5, other: 4)
    + x87(.fdiv, "fdiv", 6, other: 7) + x87(.fdivr, "fdivr", 7, other: 6) + [
      Family(
        .fcom, "fcom", feature: .fpu, rows: "D8 /2 : Mss", "DC /2 : Msd", "D8 /2 : STi",
        "DA /2 : Md : ficom", "DE /2 : Mw : ficom"),
      Family(
        .fcomp, "fcomp", feature: .fpu, rows: "D8 /3 : Mss", "DC /3 : Msd", "D8 /3 : STi",
        "DA /3 : Md : ficomp", "DE /3 : Mw : ficomp"),
      Family(.fcompp, "fcompp", feature: .fpu, rows: "DE /D9 :"),
      Family(.fucom, "fucom", feature: .fpu, rows: "DD /4 : STi"),
      Family(.fucomp, "fucomp", feature: .fpu, rows: "DD /5 : STi"),
      Family(.fucompp, "fucompp", feature: .fpu, rows: "DA /E9 :"),
      Family(.fcomi, "fcomi", "00M0MM", feature: .fpu, rows: "DB /6 : ST,STi"),
      Family(.fcomip, "fcomip", "00M0MM", feature: .fpu, rows: "DF /6 : ST,STi"),
      Family(.fucomi, "fucomi", "00M0MM", feature: .fpu, rows: "DB /5 : ST,STi"),
      Family(.fucomip, "fucomip", "00M0MM", feature: .fpu, rows: "DF /5 : ST,STi"),
      Family(.fld, "fld", feature: .fpu, rows: "D9 /0 : Mss", "DD /0 : Msd", "DB /5 : Mt"),
      Family(.fld, "fld", feature: .fpu, rows: "D9 /0 : STi"),
      Family(.fild, "fild", feature: .fpu, rows: "DF /0 : Mw", "DB /0 : Md", "DF /5 : Mq"),
      Family(.fbld, "fbld", feature: .fpu, rows: "DF /4 : Mt"),
      Family(.fst, "fst", feature: .fpu, rows: "D9 /2 : Mss", "DD /2 : Msd", "DD /2 : STi"),
      Family(
        .fstp, "fstp", feature: .fpu, rows: "D9 /3 : Mss", "DD /3 : Msd", "DB /7 : Mt",
        "DD /3 : STi"),
      Family(.fist, "fist", feature: .fpu, rows: "DF /2 : Mw", "DB /2 : Md"),
      Family(
        .fistp, "fistp", feature: .fpu, rows: "DF /3 : Mw", "DB /3 : Md", "DF /7 : Mq"),
      Family(
        .fisttp, "fisttp", feature: .sse3, rows: "DF /1 : Mw", "DB /1 : Md", "DD /1 : Mq"),
      Family(.fbstp, "fbstp", feature: .fpu, rows: "DF /6 : Mt"),
      Family(.fxch, "fxch", feature: .fpu, rows: "D9 /1 : STi"),
      Family(
        .fcmov, "fcmovb", ".....T", feature: .cmov, rows: "DA /0 : ST,STi",
        "DB /0 : ST,STi : fcmovnb"),
      Family(
        .fcmov, "fcmove", "..T...", feature: .cmov, rows: "DA /1 : ST,STi",
        "DB /1 : ST,STi : fcmovne"),
      Family(
        .fcmov, "fcmovbe", "..T..T", feature: .cmov, rows: "DA /2 : ST,STi",
        "DB /2 : ST,STi : fcmovnbe"),
      Family(
        .fcmov, "fcmovu", "....T.", feature: .cmov, rows: "DA /3 : ST,STi",
        "DB /3 : ST,STi : fcmovnu"),
      Family(
        .fldconst, "fld1", feature: .fpu, rows: "D9 /E8 :", "D9 /E9 : : fldl2t",
        "D9 /EA : : fldl2e", "D9 /EB : : fldpi", "D9 /EC : : fldlg2", "D9 /ED : : fldln2",
        "D9 /EE : : fldz"),
      Family(.fchs, "fchs", feature: .fpu, rows: "D9 /E0 :"),
      Family(.fabs, "fabs", feature: .fpu, rows: "D9 /E1 :"),
      Family(.ftst, "ftst", feature: .fpu, rows: "D9 /E4 :"),
      Family(.fxam, "fxam", feature: .fpu, rows: "D9 /E5 :"),
      Family(.f2xm1, "f2xm1", feature: .fpu, rows: "D9 /F0 :"),
      Family(.fyl2x, "fyl2x", feature: .fpu, rows: "D9 /F1 :"),
      Family(.fptan, "fptan", feature: .fpu, rows: "D9 /F2 :"),
      Family(.fpatan, "fpatan", feature: .fpu, rows: "D9 /F3 :"),
      Family(.fxtract, "fxtract", feature: .fpu, rows: "D9 /F4 :"),
      Family(.fprem1, "fprem1", feature: .fpu, rows: "D9 /F5 :"),
      Family(.fdecstp, "fdecstp", feature: .fpu, rows: "D9 /F6 :"),
      Family(.fincstp, "fincstp", feature: .fpu, rows: "D9 /F7 :"),
      Family(.fprem, "fprem", feature: .fpu, rows: "D9 /F8 :"),
      Family(.fyl2xp1, "fyl2xp1", feature: .fpu, rows: "D9 /F9 :"),
      Family(.fsqrt, "fsqrt", feature: .fpu, rows: "D9 /FA :"),
      Family(.fsincos, "fsincos", feature: .fpu, rows: "D9 /FB :"),
      Family(.frndint, "frndint", feature: .fpu, rows: "D9 /FC :"),
      Family(.fscale, "fscale", feature: .fpu, rows: "D9 /FD :"),
      Family(.fsin, "fsin", feature: .fpu, rows: "D9 /FE :"),
      Family(.fcos, "fcos", feature: .fpu, rows: "D9 /FF :"),
      Family(.fnop, "fnop", feature: .fpu, rows: "D9 /D0 :"),
      Family(.ffree, "ffree", feature: .fpu, rows: "DD /0 : STi"),
      Family(.ffreep, "ffreep", feature: .fpu, rows: "DF /0 : STi"),
      Family(.fldcw, "fldcw", feature: .fpu, rows: "D9 /5 : Mw"),
      Family(.fnstcw, "fnstcw", feature: .fpu, rows: "D9 /7 : Mw"),
      Family(.fnstsw, "fnstsw", feature: .fpu, rows: "DD /7 : Mw", "DF /E0 : AX"),
      Family(.fldenv, "fldenv", feature: .fpu, rows: "D9 /4 : M"),
      Family(.fnstenv, "fnstenv", feature: .fpu, rows: "D9 /6 : M"),
      Family(.frstor, "frstor", feature: .fpu, rows: "DD /4 : M"),
      Family(.fnsave, "fnsave", feature: .fpu, rows: "DD /6 : M"),
      Family(.fnclex, "fnclex", feature: .fpu, rows: "DB /E2 :"),
      Family(.fninit, "fninit", feature: .fpu, rows: "DB /E3 :"),
      // What the 8087's and the 80287's interrupt and protection control became.
      Family(
        .fnop8087, "fneni8087_nop", feature: .fpu, rows: "DB /E0 :",
        "DB /E1 : : fndisi8087_nop", "DB /E4 : : fnsetpm287_nop"),
      Family(.fwait, "wait", feature: .fpu, rows: "9B :"),
    ]
}
