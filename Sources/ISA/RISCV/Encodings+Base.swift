/// - SeeAlso: RISC-V Unprivileged ISA Manual, "RV32/64G Instruction Set Listings".
extension Encodings {
  static let rv32i = group(
    .i,
    [
      Entry(.lui, "lui", "imm[31:12] rd 0110111", .u),
      Entry(.auipc, "auipc", "imm[31:12] rd 0010111", .u, .pcRelative, .simulate),
      Entry(.jal, "jal", "imm[20|10:1|11|19:12] rd 1101111", .j, [.pcRelative, .jump], .simulate),
      Entry(.jalr, "jalr", "imm[11:0] rs1 000 rd 1100111", .i, .jump, .simulate),
      branch(.beq, "beq", "000"),
      branch(.bne, "bne", "001"),
      branch(.blt, "blt", "100"),
      branch(.bge, "bge", "101"),
      branch(.bltu, "bltu", "110"),
      branch(.bgeu, "bgeu", "111"),
      Entry(.lb, "lb", "imm[11:0] rs1 000 rd 0000011", .i, .load),
      Entry(.lh, "lh", "imm[11:0] rs1 001 rd 0000011", .i, .load),
      Entry(.lw, "lw", "imm[11:0] rs1 010 rd 0000011", .i, .load),
      Entry(.lbu, "lbu", "imm[11:0] rs1 100 rd 0000011", .i, .load),
      Entry(.lhu, "lhu", "imm[11:0] rs1 101 rd 0000011", .i, .load),
      Entry(.sb, "sb", "imm[11:5] rs2 rs1 000 imm[4:0] 0100011", .s, .store),
      Entry(.sh, "sh", "imm[11:5] rs2 rs1 001 imm[4:0] 0100011", .s, .store),
      Entry(.sw, "sw", "imm[11:5] rs2 rs1 010 imm[4:0] 0100011", .s, .store),
      Entry(.addi, "addi", "imm[11:0] rs1 000 rd 0010011", .i),
      Entry(.slti, "slti", "imm[11:0] rs1 010 rd 0010011", .i),
      Entry(.sltiu, "sltiu", "imm[11:0] rs1 011 rd 0010011", .i),
      Entry(.xori, "xori", "imm[11:0] rs1 100 rd 0010011", .i),
      Entry(.ori, "ori", "imm[11:0] rs1 110 rd 0010011", .i),
      Entry(.andi, "andi", "imm[11:0] rs1 111 rd 0010011", .i),
      Entry(.slli, "slli", "000000 shamt[5:0] rs1 001 rd 0010011", .shamt6),
      Entry(.srli, "srli", "000000 shamt[5:0] rs1 101 rd 0010011", .shamt6),
      Entry(.srai, "srai", "010000 shamt[5:0] rs1 101 rd 0010011", .shamt6),
      Entry(.add, "add", "0000000 rs2 rs1 000 rd 0110011", .r),
      Entry(.sub, "sub", "0100000 rs2 rs1 000 rd 0110011", .r),
      Entry(.sll, "sll", "0000000 rs2 rs1 001 rd 0110011", .r),
      Entry(.slt, "slt", "0000000 rs2 rs1 010 rd 0110011", .r),
      Entry(.sltu, "sltu", "0000000 rs2 rs1 011 rd 0110011", .r),
      Entry(.xor, "xor", "0000000 rs2 rs1 100 rd 0110011", .r),
      Entry(.srl, "srl", "0000000 rs2 rs1 101 rd 0110011", .r),
      Entry(.sra, "sra", "0100000 rs2 rs1 101 rd 0110011", .r),
      Entry(.or, "or", "0000000 rs2 rs1 110 rd 0110011", .r),
      Entry(.and, "and", "0000000 rs2 rs1 111 rd 0110011", .r),
      // rs1, rd and unknown fm are for extensions; until then they are ignored, not illegal.
      Entry(.fence, "fence", "fm pred succ rs1 000 rd 0001111", .fence, .fence, .refuse),
      Entry(
        .ecall, "ecall", "000000000000 00000 000 00000 1110011", .fixed, .system, .refuse),
      Entry(
        .ebreak, "ebreak", "000000000001 00000 000 00000 1110011", .fixed, .system, .refuse),
    ])

  private static func branch(_ op: Op, _ mnemonic: String, _ funct3: String) -> Entry {
    Entry(
      op, mnemonic, "imm[12|10:5] rs2 rs1 \(funct3) imm[4:1|11] 1100011", .b,
      [.pcRelative, .branch], .simulate)
  }

  static let rv64i = group(
    .i,
    [
      Entry(.lwu, "lwu", "imm[11:0] rs1 110 rd 0000011", .i, .load),
      Entry(.ld, "ld", "imm[11:0] rs1 011 rd 0000011", .i, .load),
      Entry(.sd, "sd", "imm[11:5] rs2 rs1 011 imm[4:0] 0100011", .s, .store),
      Entry(.addiw, "addiw", "imm[11:0] rs1 000 rd 0011011", .i),
      Entry(.slliw, "slliw", "0000000 shamt[4:0] rs1 001 rd 0011011", .shamt5),
      Entry(.srliw, "srliw", "0000000 shamt[4:0] rs1 101 rd 0011011", .shamt5),
      Entry(.sraiw, "sraiw", "0100000 shamt[4:0] rs1 101 rd 0011011", .shamt5),
      Entry(.addw, "addw", "0000000 rs2 rs1 000 rd 0111011", .r),
      Entry(.subw, "subw", "0100000 rs2 rs1 000 rd 0111011", .r),
      Entry(.sllw, "sllw", "0000000 rs2 rs1 001 rd 0111011", .r),
      Entry(.srlw, "srlw", "0000000 rs2 rs1 101 rd 0111011", .r),
      Entry(.sraw, "sraw", "0100000 rs2 rs1 101 rd 0111011", .r),
    ])

  static let zifencei = group(
    .zifencei,
    [
      // The immediate, rs1 and rd are for extensions; until then they are ignored, not illegal.
      Entry(.fence_i, "fence.i", "imm[11:0] rs1 001 rd 0001111", .i, .fence, .refuse)
    ])

  static let zicsr = group(
    .zicsr,
    [
      Entry(.csrrw, "csrrw", "csr rs1 001 rd 1110011", .csr, [.csr, .system], .refuse),
      Entry(.csrrs, "csrrs", "csr rs1 010 rd 1110011", .csr, [.csr, .system], .refuse),
      Entry(.csrrc, "csrrc", "csr rs1 011 rd 1110011", .csr, [.csr, .system], .refuse),
      Entry(.csrrwi, "csrrwi", "csr uimm 101 rd 1110011", .csri, [.csr, .system], .refuse),
      Entry(.csrrsi, "csrrsi", "csr uimm 110 rd 1110011", .csri, [.csr, .system], .refuse),
      Entry(.csrrci, "csrrci", "csr uimm 111 rd 1110011", .csri, [.csr, .system], .refuse),
    ])

  static let m = group(
    .m,
    [
      Entry(.mul, "mul", "0000001 rs2 rs1 000 rd 0110011", .r),
      Entry(.mulh, "mulh", "0000001 rs2 rs1 001 rd 0110011", .r),
      Entry(.mulhsu, "mulhsu", "0000001 rs2 rs1 010 rd 0110011", .r),
      Entry(.mulhu, "mulhu", "0000001 rs2 rs1 011 rd 0110011", .r),
      Entry(.div, "div", "0000001 rs2 rs1 100 rd 0110011", .r),
      Entry(.divu, "divu", "0000001 rs2 rs1 101 rd 0110011", .r),
      Entry(.rem, "rem", "0000001 rs2 rs1 110 rd 0110011", .r),
      Entry(.remu, "remu", "0000001 rs2 rs1 111 rd 0110011", .r),
      Entry(.mulw, "mulw", "0000001 rs2 rs1 000 rd 0111011", .r),
      Entry(.divw, "divw", "0000001 rs2 rs1 100 rd 0111011", .r),
      Entry(.divuw, "divuw", "0000001 rs2 rs1 101 rd 0111011", .r),
      Entry(.remw, "remw", "0000001 rs2 rs1 110 rd 0111011", .r),
      Entry(.remuw, "remuw", "0000001 rs2 rs1 111 rd 0111011", .r),
    ])

  /// - SeeAlso: RISC-V Privileged ISA Manual, "RISC-V Privileged Instruction Set Listings".
  static let privileged = group(
    .privileged,
    [
      Entry(
        .sret, "sret", "0001000 00010 00000 000 00000 1110011", .fixed,
        [.privileged, .system, .jump], .refuse),
      Entry(
        .mret, "mret", "0011000 00010 00000 000 00000 1110011", .fixed,
        [.privileged, .system, .jump], .refuse),
      Entry(
        .wfi, "wfi", "0001000 00101 00000 000 00000 1110011", .fixed, [.privileged, .system],
        .refuse),
      Entry(
        .sfence_vma, "sfence.vma", "0001001 rs2 rs1 000 00000 1110011", .r,
        [.privileged, .system, .fence], .refuse),
    ])
}
