extension Encodings {
  /// What is an instruction in 32-bit code only; tried there before ``allRows``.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'One-Byte Opcode Map' (superscript i64).
  static let legacyRows: [Row] = rows(of: [legacy])

  /// An instruction's row, in whichever code.
  static func row(_ insn: Insn) -> Row {
    let index = Int(insn.row)
    return index < allRows.count ? allRows[index] : legacyRows[index - allRows.count]
  }

  /// Rows of 64-bit mode that 32-bit code does not have.
  static let longOnly: Set<Op> = [
    .movsxd, .syscall, .sysret, .swapgs, .rdfsbase, .rdgsbase, .wrfsbase, .wrgsbase,
  ]

  private static let aliases: [Family] = [
    (Op.add, "add", 0, "MMMMMM"), (.or, "or", 1, "0MM-M0"), (.adc, "adc", 2, "MMMMMB"),
    (.sbb, "sbb", 3, "MMMMMB"), (.and, "and", 4, "0MM-M0"), (.sub, "sub", 5, "MMMMMM"),
    (.xor, "xor", 6, "0MM-M0"),
  ].map { Family($0, $1, $3, .lock, rows: "82 /\($2) : Eb,Ib") }

  private static let legacy: [Family] =
    aliases + [
      Family(.cmp, "cmp", "MMMMMM", rows: "82 /7 : Eb,Ib"),
      Family(
        .push_seg, "push", "......", [.default64, .system], rows: "06 : ES", "0E : CS", "16 : SS",
        "1E : DS"),
      Family(
        .pop_seg, "pop", "......", [.default64, .system], rows: "07 : ES", "17 : SS", "1F : DS"),
      Family(.inc, "inc", "MMMMM.", rows: "40+ : Zv"),
      Family(.dec, "dec", "MMMMM.", rows: "48+ : Zv"),
      Family(.pusha, "pusha", rows: "60 :"),
      Family(.popa, "popa", rows: "61 :"),
      Family(.bound, "bound", "......", .system, rows: "62 : Gv,M"),
      Family(.arpl, "arpl", "..M...", .system, rows: "63 : Ew,Gw"),
      Family(.pushf, "pushfd", "TTTTTT", .default64, rows: "o32 9C :"),
      Family(.popf, "popfd", "MMMMMM", .default64, rows: "o32 9D :"),
      Family(.call_far, "lcall", "......", [.jump, .system], rows: "9A : Ap"),
      Family(.jmp_far, "ljmp", "......", [.jump, .system], rows: "EA : Ap"),
      Family(.load_far, "les", "......", .system, rows: "C4 : Gv,Mp", "C5 : Gv,Mp : lds"),
      Family(.into, "into", "T.....", [.jump, .system], rows: "CE :"),
      Family(.decimal, "daa", "-MMBMB", rows: "27 :", "2F : : das", "37 : : aaa", "3F : : aas"),
      Family(.decimal, "aam", "-MM-M-", rows: "D4 : Ib", "D5 : Ib : aad"),
      Family(.decimal, "salc", ".....T", rows: "D6 :"),
    ]
}
