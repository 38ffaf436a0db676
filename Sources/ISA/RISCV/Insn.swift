/// What an instruction does, after expansion: the manual's name with `.` written `_`.
///
/// A compressed instruction has no case of its own: it decodes to the base operation it expands to.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, "RV32/64G Instruction Set Listings"; RISC-V
///   Privileged ISA Manual, "RISC-V Privileged Instruction Set Listings".
public enum Op: UInt16, CaseIterable, Sendable {
  // RV32I
  case lui, auipc, jal, jalr
  case beq, bne, blt, bge, bltu, bgeu
  case lb, lh, lw, lbu, lhu
  case sb, sh, sw
  case addi, slti, sltiu, xori, ori, andi, slli, srli, srai
  case add, sub, sll, slt, sltu, xor, srl, sra, or, and
  case fence, ecall, ebreak
  // RV64I
  case lwu, ld, sd
  case addiw, slliw, srliw, sraiw
  case addw, subw, sllw, srlw, sraw
  // Zifencei
  case fence_i
  // Zicsr
  case csrrw, csrrs, csrrc, csrrwi, csrrsi, csrrci
  // M
  case mul, mulh, mulhsu, mulhu, div, divu, rem, remu
  case mulw, divw, divuw, remw, remuw
  // A
  case lr_w, sc_w, amoswap_w, amoadd_w, amoxor_w, amoand_w, amoor_w
  case amomin_w, amomax_w, amominu_w, amomaxu_w
  case lr_d, sc_d, amoswap_d, amoadd_d, amoxor_d, amoand_d, amoor_d
  case amomin_d, amomax_d, amominu_d, amomaxu_d
  // F
  case flw, fsw
  case fmadd_s, fmsub_s, fnmsub_s, fnmadd_s
  case fadd_s, fsub_s, fmul_s, fdiv_s, fsqrt_s
  case fsgnj_s, fsgnjn_s, fsgnjx_s, fmin_s, fmax_s
  case fcvt_w_s, fcvt_wu_s, fmv_x_w, feq_s, flt_s, fle_s, fclass_s
  case fcvt_s_w, fcvt_s_wu, fmv_w_x
  case fcvt_l_s, fcvt_lu_s, fcvt_s_l, fcvt_s_lu
  // D
  case fld, fsd
  case fmadd_d, fmsub_d, fnmsub_d, fnmadd_d
  case fadd_d, fsub_d, fmul_d, fdiv_d, fsqrt_d
  case fsgnj_d, fsgnjn_d, fsgnjx_d, fmin_d, fmax_d
  case fcvt_s_d, fcvt_d_s, feq_d, flt_d, fle_d, fclass_d
  case fcvt_w_d, fcvt_wu_d, fcvt_d_w, fcvt_d_wu
  case fcvt_l_d, fcvt_lu_d, fmv_x_d, fcvt_d_l, fcvt_d_lu, fmv_d_x
  // Privileged
  case sret, mret, wfi, sfence_vma
  // Zba
  case add_uw, sh1add, sh1add_uw, sh2add, sh2add_uw, sh3add, sh3add_uw, slli_uw
  // Zbb
  case andn, orn, xnor
  case clz, clzw, ctz, ctzw, cpop, cpopw
  case max, maxu, min, minu
  case sext_b, sext_h, zext_h
  case rol, rolw, ror, rori, roriw, rorw
  case orc_b, rev8
  // Zbs
  case bclr, bclri, bext, bexti, binv, binvi, bset, bseti
  // Zicond
  case czero_eqz, czero_nez
}

/// One decoded instruction: 16 bytes without a reference in them.
///
/// A field which the instruction's row does not have is 0.
public struct Insn: Equatable, Sendable {
  /// The operation; for a compressed instruction the one it expands to.
  public var op: Op
  /// Destination register number, 0..<32, x or f as the row says.
  public var rd: UInt8
  /// First source register; the 5-bit immediate of `csrrwi`, `csrrsi` and `csrrci`.
  public var rs1: UInt8
  /// Second source register.
  public var rs2: UInt8
  /// Third source register, of fused multiply-adds.
  public var rs3: UInt8
  /// The rounding mode field of FP; `aq << 1 | rl` of atomics; else 0, save in three rows.
  ///
  /// `c.addi16sp`, `c.li` to x0 and `c.mv` to x0 can expand to the same thing as `c.addi`,
  /// `c.nop` and `c.add` to x0; they have 1 here, which says nothing but that, so that an `Insn`
  /// determines its bits.
  public var rm: UInt8
  /// Bytes: 2 or 4.
  public var length: UInt8
  /// The immediate, sign-extended where the manual sign-extends it.
  ///
  /// Branches and jumps: the displacement in bytes. `lui` and `auipc`: the value, already shifted
  /// left by 12. Shifts: the amount. `csr*`: the number of the CSR. `fence`: fm, pred and succ, 12
  /// bits.
  public var imm: Int64

  /// Puts an instruction together; `Encoder.encode` says whether it exists.
  public init(
    op: Op, rd: UInt8 = 0, rs1: UInt8 = 0, rs2: UInt8 = 0, rs3: UInt8 = 0, rm: UInt8 = 0,
    length: UInt8 = 4, imm: Int64 = 0
  ) {
    self.op = op
    self.rd = rd
    self.rs1 = rs1
    self.rs2 = rs2
    self.rs3 = rs3
    self.rm = rm
    self.length = length
    self.imm = imm
  }
}
