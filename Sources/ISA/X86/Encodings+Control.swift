extension Encodings {
  /// - SeeAlso: Intel SDM volume 1, 'Control Transfer Instructions'.
  static let control: [Family] = [
    Family(
      .jmp, "jmp", "......", [.force64, .jump], rows: "E9 : Jz", "EB : Jb", "FF /4 : Ev"),
    Family(.jcc, "j", "......", [.force64, .branch], rows: "70+cc : Jb", "0F 80+cc : Jz"),
    Family(.jrcxz, "jrcxz", "......", [.force64, .branch], rows: "E3 : Jb"),
    Family(.loopne, "loopne", "..T...", [.force64, .branch], rows: "E0 : Jb"),
    Family(.loope, "loope", "..T...", [.force64, .branch], rows: "E1 : Jb"),
    Family(.loop, "loop", "......", [.force64, .branch], rows: "E2 : Jb"),
    Family(.call, "call", "......", [.force64, .jump], rows: "E8 : Jz", "FF /2 : Ev"),
    Family(.ret, "ret", "......", [.force64, .jump], rows: "C2 : Iw", "C3 :"),
    Family(.int3, "int3", "......", .jump, rows: "CC :"),
    Family(.int, "int", "......", .jump, rows: "CD : Ib"),
    Family(.int1, "int1", "......", .jump, rows: "F1 :"),
    Family(.syscall, "syscall", "......", .jump, rows: "0F 05 :"),
    Family(
      .ud, "ud2", "......", .jump, rows: "0F 0B :", "0F B9 : Gv,Ev : ud1", "0F FF : Gv,Ev : ud0"),
  ]

  private static func string(
    _ op: Op, _ mnemonic: String, _ flags: String, _ opcode: UInt8, _ operands: String
  ) -> Family {
    let byte = String(opcode, radix: 16, uppercase: true)
    let wide = String(opcode + 1, radix: 16, uppercase: true)
    func of(_ size: String, _ fixed: String) -> String {
      operands.split(separator: ",").map { $0 == "A" ? fixed : $0 + size }.joined(separator: ",")
    }
    return Family(
      op, mnemonic, flags, .string,
      rows: "\(byte) : \(of("b", "AL")) : \(mnemonic)b",
      "o16 \(wide) : \(of("v", "rAX")) : \(mnemonic)w",
      "o32 \(wide) : \(of("v", "rAX")) : \(mnemonic)d",
      "o64 \(wide) : \(of("v", "rAX")) : \(mnemonic)q")
  }

  /// - SeeAlso: Intel SDM volume 1, 'String Instructions'.
  static let strings: [Family] = [
    string(.movs, "movs", "......", 0xa4, "Y,X"),
    string(.cmps, "cmps", "MMMMMM", 0xa6, "X,Y"),
    string(.stos, "stos", "......", 0xaa, "Y,A"),
    string(.lods, "lods", "......", 0xac, "A,X"),
    string(.scas, "scas", "MMMMMM", 0xae, "A,Y"),
  ]

  /// Flags, no-ops, identification and segment bases.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Flag Control Instructions' and 'Miscellaneous Instructions'.
  static let system: [Family] = [
    Family(.clc, "clc", ".....0", rows: "F8 :"),
    Family(.stc, "stc", ".....1", rows: "F9 :"),
    Family(.cmc, "cmc", ".....B", rows: "F5 :"),
    Family(.cld, "cld", rows: "FC :"),
    Family(.std, "std", rows: "FD :"),
    Family(.lahf, "lahf", ".TTTTT", [], .lahf, rows: "9F :"),
    Family(.sahf, "sahf", ".MMMMM", [], .lahf, rows: "9E :"),
    Family(
      .pushf, "pushf", "TTTTTT", .default64, rows: "o16 9C :", "o64 9C : : pushfq"),
    Family(.popf, "popf", "MMMMMM", .default64, rows: "o16 9D :", "o64 9D : : popfq"),
    Family(
      .nop, "nop", rows: "0F 1F /0 : Ev", "0F 1F /1 : Ev", "0F 1F /2 : Ev", "0F 1F /3 : Ev",
      "0F 1F /4 : Ev", "0F 1F /5 : Ev", "0F 1F /6 : Ev", "0F 1F /7 : Ev", "0F 19 : Ev",
      "0F 1C : Ev", "0F 1D : Ev"),
    Family(.nop, "endbr64", rows: "F3 0F 1E /FA :"),
    Family(.nop, "endbr32", rows: "F3 0F 1E /FB :"),
    Family(.nop, "nop", rows: "0F 1E : Ev"),
    Family(.prefetch, "prefetchnta", feature: .sse, rows: "0F 18 /0 : Mb"),
    Family(.prefetch, "prefetcht0", feature: .sse, rows: "0F 18 /1 : Mb"),
    Family(.prefetch, "prefetcht1", feature: .sse, rows: "0F 18 /2 : Mb"),
    Family(.prefetch, "prefetcht2", feature: .sse, rows: "0F 18 /3 : Mb"),
    Family(.prefetch, "prefetchw", rows: "0F 0D /1 : Mb"),
    Family(.clflush, "clflushopt", feature: .clflushopt, rows: "66 0F AE /7 : Mb"),
    Family(.clflush, "clwb", feature: .clwb, rows: "66 0F AE /6 : Mb"),
    Family(.clflush, "clflush", feature: .clfsh, rows: "NP 0F AE /7 : Mb"),
    Family(.fence, "lfence", feature: .sse2, rows: "NP 0F AE /E8 :"),
    Family(.fence, "mfence", feature: .sse2, rows: "NP 0F AE /F0 :"),
    Family(.fence, "sfence", feature: .sse, rows: "NP 0F AE /F8 :"),
    Family(.cpuid, "cpuid", rows: "0F A2 :"),
    Family(.rdtsc, "rdtsc", rows: "0F 31 :"),
    Family(.rdtscp, "rdtscp", feature: .rdtscp, rows: "0F 01 /F9 :"),
    Family(.rdrand, "rdrand", "00000M", .system, .rdrand, rows: "NFx 0F C7 /6 : Rv"),
    Family(.rdrand, "rdseed", "00000M", .system, .rdseed, rows: "NFx 0F C7 /7 : Rv"),
    Family(.rdpid, "rdpid", "......", .force64, .rdpid, rows: "F3 0F C7 /7 : Rv"),
    Family(
      .fxsave, "fxsave", feature: .fxsr, rows: "NP W0 0F AE /0 : M", "NP W1 0F AE /0 : M : fxsave64"
    ),
    Family(
      .fxrstor, "fxrstor", feature: .fxsr, rows: "NP W0 0F AE /1 : M",
      "NP W1 0F AE /1 : M : fxrstor64"),
    Family(
      .xsave, "xsave", feature: .xsave, rows: "NP W0 0F AE /4 : M", "NP W1 0F AE /4 : M : xsave64"),
    Family(
      .xrstor, "xrstor", feature: .xsave, rows: "NP W0 0F AE /5 : M",
      "NP W1 0F AE /5 : M : xrstor64"),
    Family(
      .xsaveopt, "xsaveopt", feature: .xsave, rows: "NP W0 0F AE /6 : M",
      "NP W1 0F AE /6 : M : xsaveopt64"),
    Family(.xgetbv, "xgetbv", feature: .xsave, rows: "NP 0F 01 /D0 :"),
    Family(.rdfsbase, "rdfsbase", feature: .fsgsbase, rows: "F3 0F AE /0 : Ry"),
    Family(.rdgsbase, "rdgsbase", feature: .fsgsbase, rows: "F3 0F AE /1 : Ry"),
    Family(.wrfsbase, "wrfsbase", feature: .fsgsbase, rows: "F3 0F AE /2 : Ry"),
    Family(.wrgsbase, "wrgsbase", feature: .fsgsbase, rows: "F3 0F AE /3 : Ry"),
  ]
}
