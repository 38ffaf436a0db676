/// - SeeAlso: RISC-V Unprivileged ISA Manual, "RVC Instruction Set Listings".
extension Encodings {
  /// HINTs are ordinary rows: what they expand to changes no register.
  static let c = group(
    .c,
    [
      // Quadrant 0. An immediate of 0 is reserved, so the halfword 0 is illegal.
      Entry(
        .addi, "c.addi4spn", "000 nzuimm[5:4|9:6|2|3] rd' 00", .ciw, implied: "rs1=2"),
      Entry(.fld, "c.fld", "001 uimm[5:3] rs1' uimm[7:6] frd' 00", .cl, [.fp, .load]),
      Entry(.lw, "c.lw", "010 uimm[5:3] rs1' uimm[2|6] rd' 00", .cl, .load),
      Entry(.ld, "c.ld", "011 uimm[5:3] rs1' uimm[7:6] rd' 00", .cl, .load),
      Entry(.fsd, "c.fsd", "101 uimm[5:3] rs1' uimm[7:6] frs2' 00", .cs, [.fp, .store]),
      Entry(.sw, "c.sw", "110 uimm[5:3] rs1' uimm[2|6] rs2' 00", .cs, .store),
      Entry(.sd, "c.sd", "111 uimm[5:3] rs1' uimm[7:6] rs2' 00", .cs, .store),

      // Quadrant 1.
      Entry(.addi, "c.nop", "000 imm[5] 00000 imm[4:0] 01", .ci, implied: "rd=0 rs1=0"),
      Entry(.addi, "c.addi", "000 imm[5] rd/rs1≠0 imm[4:0] 01", .ci),
      Entry(.addiw, "c.addiw", "001 imm[5] rd/rs1≠0 imm[4:0] 01", .ci),
      Entry(.addi, "c.li", "010 imm[5] rd≠0 imm[4:0] 01", .ci, implied: "rs1=0"),
      // HINT; rm=1 tells it from c.nop.
      Entry(.addi, "c.li", "010 imm[5] 00000 imm[4:0] 01", .ci, implied: "rd=0 rs1=0 rm=1"),
      // rm=1 tells it from c.addi to sp.
      Entry(
        .addi, "c.addi16sp", "011 nzimm[9] 00010 nzimm[4|6|8:7|5] 01", .ci,
        implied: "rd=2 rs1=2 rm=1"),
      Entry(.lui, "c.lui", "011 nzimm[17] rd≠2 nzimm[16:12] 01", .ci),
      Entry(.srli, "c.srli", "100 shamt[5] 00 rd'/rs1' shamt[4:0] 01", .cb),
      Entry(.srai, "c.srai", "100 shamt[5] 01 rd'/rs1' shamt[4:0] 01", .cb),
      Entry(.andi, "c.andi", "100 imm[5] 10 rd'/rs1' imm[4:0] 01", .cb),
      Entry(.sub, "c.sub", "100 0 11 rd'/rs1' 00 rs2' 01", .ca),
      Entry(.xor, "c.xor", "100 0 11 rd'/rs1' 01 rs2' 01", .ca),
      Entry(.or, "c.or", "100 0 11 rd'/rs1' 10 rs2' 01", .ca),
      Entry(.and, "c.and", "100 0 11 rd'/rs1' 11 rs2' 01", .ca),
      Entry(.subw, "c.subw", "100 1 11 rd'/rs1' 00 rs2' 01", .ca),
      Entry(.addw, "c.addw", "100 1 11 rd'/rs1' 01 rs2' 01", .ca),
      Entry(
        .jal, "c.j", "101 imm[11|4|9:8|10|6|7|3:1|5] 01", .cj, [.pcRelative, .jump], .simulate,
        implied: "rd=0"),
      Entry(
        .beq, "c.beqz", "110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", .cb, [.pcRelative, .branch],
        .simulate, implied: "rs2=0"),
      Entry(
        .bne, "c.bnez", "111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", .cb, [.pcRelative, .branch],
        .simulate, implied: "rs2=0"),

      // Quadrant 2.
      Entry(.slli, "c.slli", "000 shamt[5] rd/rs1 shamt[4:0] 10", .ci),
      Entry(
        .fld, "c.fldsp", "001 uimm[5] frd uimm[4:3|8:6] 10", .ci, [.fp, .load], implied: "rs1=2"),
      Entry(.lw, "c.lwsp", "010 uimm[5] rd≠0 uimm[4:2|7:6] 10", .ci, .load, implied: "rs1=2"),
      Entry(.ld, "c.ldsp", "011 uimm[5] rd≠0 uimm[4:3|8:6] 10", .ci, .load, implied: "rs1=2"),
      Entry(.jalr, "c.jr", "100 0 rs1≠0 00000 10", .cr, .jump, .simulate, implied: "rd=0"),
      Entry(.add, "c.mv", "100 0 rd≠0 rs2≠0 10", .cr, implied: "rs1=0"),
      // HINT; rm=1 tells it from c.add to x0.
      Entry(.add, "c.mv", "100 0 00000 rs2≠0 10", .cr, implied: "rd=0 rs1=0 rm=1"),
      Entry(.ebreak, "c.ebreak", "100 1 00000 00000 10", .cr, .system, .refuse),
      Entry(.jalr, "c.jalr", "100 1 rs1≠0 00000 10", .cr, .jump, .simulate, implied: "rd=1"),
      Entry(.add, "c.add", "100 1 rd/rs1 rs2≠0 10", .cr),
      Entry(
        .fsd, "c.fsdsp", "101 uimm[5:3|8:6] frs2 10", .css, [.fp, .store], implied: "rs1=2"),
      Entry(.sw, "c.swsp", "110 uimm[5:2|7:6] rs2 10", .css, .store, implied: "rs1=2"),
      Entry(.sd, "c.sdsp", "111 uimm[5:3|8:6] rs2 10", .css, .store, implied: "rs1=2"),
    ])
}
