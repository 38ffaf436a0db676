/// - SeeAlso: RISC-V Unprivileged ISA Manual, "RV32/64G Instruction Set Listings", RV32A and RV64A.
extension Encodings {
  static let a = group(
    .a,
    [
      Entry(.lr_w, "lr.w", "00010 aq rl 00000 rs1 010 rd 0101111", .amo, lr, .refuse),
      Entry(.sc_w, "sc.w", "00011 aq rl rs2 rs1 010 rd 0101111", .amo, sc, .refuse),
      Entry(.amoswap_w, "amoswap.w", "00001 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amoadd_w, "amoadd.w", "00000 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amoxor_w, "amoxor.w", "00100 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amoand_w, "amoand.w", "01100 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amoor_w, "amoor.w", "01000 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amomin_w, "amomin.w", "10000 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amomax_w, "amomax.w", "10100 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amominu_w, "amominu.w", "11000 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.amomaxu_w, "amomaxu.w", "11100 aq rl rs2 rs1 010 rd 0101111", .amo, amo),
      Entry(.lr_d, "lr.d", "00010 aq rl 00000 rs1 011 rd 0101111", .amo, lr, .refuse),
      Entry(.sc_d, "sc.d", "00011 aq rl rs2 rs1 011 rd 0101111", .amo, sc, .refuse),
      Entry(.amoswap_d, "amoswap.d", "00001 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amoadd_d, "amoadd.d", "00000 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amoxor_d, "amoxor.d", "00100 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amoand_d, "amoand.d", "01100 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amoor_d, "amoor.d", "01000 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amomin_d, "amomin.d", "10000 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amomax_d, "amomax.d", "10100 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amominu_d, "amominu.d", "11000 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
      Entry(.amomaxu_d, "amomaxu.d", "11100 aq rl rs2 rs1 011 rd 0101111", .amo, amo),
    ])

  private static let lr: Traits = [.atomic, .exclusive, .load]
  private static let sc: Traits = [.atomic, .exclusive, .store]
  private static let amo: Traits = [.atomic, .load, .store]
}
