/// - SeeAlso: RISC-V Unprivileged ISA Manual, "\"B\" Extension for Bit Manipulation" and "Zicond
///   Extension for Integer Conditional Operations".
extension Encodings {
  static let zba = group(
    .zba,
    [
      Entry(.add_uw, "add.uw", "0000100 rs2 rs1 000 rd 0111011", .r),
      Entry(.sh1add, "sh1add", "0010000 rs2 rs1 010 rd 0110011", .r),
      Entry(.sh1add_uw, "sh1add.uw", "0010000 rs2 rs1 010 rd 0111011", .r),
      Entry(.sh2add, "sh2add", "0010000 rs2 rs1 100 rd 0110011", .r),
      Entry(.sh2add_uw, "sh2add.uw", "0010000 rs2 rs1 100 rd 0111011", .r),
      Entry(.sh3add, "sh3add", "0010000 rs2 rs1 110 rd 0110011", .r),
      Entry(.sh3add_uw, "sh3add.uw", "0010000 rs2 rs1 110 rd 0111011", .r),
      Entry(.slli_uw, "slli.uw", "000010 shamt[5:0] rs1 001 rd 0011011", .shamt6),
    ])

  static let zbb = group(
    .zbb,
    [
      Entry(.andn, "andn", "0100000 rs2 rs1 111 rd 0110011", .r),
      Entry(.orn, "orn", "0100000 rs2 rs1 110 rd 0110011", .r),
      Entry(.xnor, "xnor", "0100000 rs2 rs1 100 rd 0110011", .r),
      Entry(.clz, "clz", "0110000 00000 rs1 001 rd 0010011", .r),
      Entry(.clzw, "clzw", "0110000 00000 rs1 001 rd 0011011", .r),
      Entry(.ctz, "ctz", "0110000 00001 rs1 001 rd 0010011", .r),
      Entry(.ctzw, "ctzw", "0110000 00001 rs1 001 rd 0011011", .r),
      Entry(.cpop, "cpop", "0110000 00010 rs1 001 rd 0010011", .r),
      Entry(.cpopw, "cpopw", "0110000 00010 rs1 001 rd 0011011", .r),
      Entry(.max, "max", "0000101 rs2 rs1 110 rd 0110011", .r),
      Entry(.maxu, "maxu", "0000101 rs2 rs1 111 rd 0110011", .r),
      Entry(.min, "min", "0000101 rs2 rs1 100 rd 0110011", .r),
      Entry(.minu, "minu", "0000101 rs2 rs1 101 rd 0110011", .r),
      Entry(.sext_b, "sext.b", "0110000 00100 rs1 001 rd 0010011", .r),
      Entry(.sext_h, "sext.h", "0110000 00101 rs1 001 rd 0010011", .r),
      Entry(.zext_h, "zext.h", "0000100 00000 rs1 100 rd 0111011", .r),
      Entry(.rol, "rol", "0110000 rs2 rs1 001 rd 0110011", .r),
      Entry(.rolw, "rolw", "0110000 rs2 rs1 001 rd 0111011", .r),
      Entry(.ror, "ror", "0110000 rs2 rs1 101 rd 0110011", .r),
      Entry(.rori, "rori", "011000 shamt[5:0] rs1 101 rd 0010011", .shamt6),
      Entry(.roriw, "roriw", "0110000 shamt[4:0] rs1 101 rd 0011011", .shamt5),
      Entry(.rorw, "rorw", "0110000 rs2 rs1 101 rd 0111011", .r),
      Entry(.orc_b, "orc.b", "001010000111 rs1 101 rd 0010011", .r),
      Entry(.rev8, "rev8", "011010111000 rs1 101 rd 0010011", .r),
    ])

  static let zbs = group(
    .zbs,
    [
      Entry(.bclr, "bclr", "0100100 rs2 rs1 001 rd 0110011", .r),
      Entry(.bclri, "bclri", "010010 shamt[5:0] rs1 001 rd 0010011", .shamt6),
      Entry(.bext, "bext", "0100100 rs2 rs1 101 rd 0110011", .r),
      Entry(.bexti, "bexti", "010010 shamt[5:0] rs1 101 rd 0010011", .shamt6),
      Entry(.binv, "binv", "0110100 rs2 rs1 001 rd 0110011", .r),
      Entry(.binvi, "binvi", "011010 shamt[5:0] rs1 001 rd 0010011", .shamt6),
      Entry(.bset, "bset", "0010100 rs2 rs1 001 rd 0110011", .r),
      Entry(.bseti, "bseti", "001010 shamt[5:0] rs1 001 rd 0010011", .shamt6),
    ])

  static let zicond = group(
    .zicond,
    [
      Entry(.czero_eqz, "czero.eqz", "0000111 rs2 rs1 101 rd 0110011", .r),
      Entry(.czero_nez, "czero.nez", "0000111 rs2 rs1 111 rd 0110011", .r),
    ])
}
