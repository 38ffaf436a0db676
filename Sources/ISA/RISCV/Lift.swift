import Engine

/// The meaning of every instruction, as micro-ops.
///
/// Written once: interpreter, JIT and the simulation of a displaced instruction all run it.
struct Lift {
  let builder: BlockBuilder
  /// mstatus.FS when the block is translated: 0 off, 3 dirty.
  let fpState: UInt64
  /// Whether it runs in supervisor or machine mode.
  var isPrivileged = false
  /// Whether jumps must go to multiples of four (a hart without C).
  var checksTargets = false

  /// Where a result for x`rd` goes: x0 takes none.
  @inline(__always)
  func to(_ rd: UInt8) -> UInt8 { rd == 0 ? UInt8(Slot.sink) : rd }

  /// The slot of floating-point register `f`.
  @inline(__always)
  func fp(_ f: UInt8) -> UInt8 { UInt8(Slot.fp) &+ f }

  /// The address `displacement` bytes from this instruction.
  @inline(__always)
  private func target(_ displacement: Int64) -> Int64 {
    Int64(bitPattern: builder.pc) &+ displacement
  }

  @inline(__always)
  private func rr(_ op: Engine.Op, _ i: Insn) {
    builder.emit(op, d: to(i.rd), a: i.rs1, b: i.rs2)
  }

  @inline(__always)
  private func ri(_ op: Engine.Op, _ i: Insn, imm: Int64? = nil) {
    builder.emit(op, d: to(i.rd), a: i.rs1, imm: imm ?? i.imm)
  }

  @inline(__always)
  private func store(_ op: Engine.Op, _ i: Insn) {
    builder.emit(op, a: i.rs1, b: i.rs2, imm: i.imm)
  }

  @inline(__always)
  private func branch(_ op: Engine.Op, _ i: Insn) {
    if checksTargets, i.imm & 2 != 0 { builder.emit(helper: checkTarget) }
    builder.end(op, a: i.rs1, b: i.rs2, imm: target(i.imm))
  }

  /// Lifts one instruction.
  func lift(_ i: Insn) {
    switch i.op {
    // MARK: Integer computational instructions
    case .lui: builder.emit(.movi, d: to(i.rd), imm: i.imm)
    case .auipc: builder.emit(.movi, d: to(i.rd), imm: target(i.imm))
    case .addi:
      if i.rs1 == 0 {
        builder.emit(.movi, d: to(i.rd), imm: i.imm)
      } else if i.imm == 0 {
        builder.emit(.mov, d: to(i.rd), a: i.rs1)
      } else {
        ri(.addi, i)
      }
    case .slti: ri(.slti, i)
    case .sltiu: ri(.sltiu, i)
    case .xori: ri(.xori, i)
    case .ori: ri(.ori, i)
    case .andi: ri(.andi, i)
    case .slli: ri(.slli, i)
    case .srli: ri(.srli, i)
    case .srai: ri(.srai, i)
    case .add:
      if i.rs1 == 0 { builder.emit(.mov, d: to(i.rd), a: i.rs2) } else { rr(.add, i) }
    case .sub: rr(.sub, i)
    case .sll: rr(.sll, i)
    case .slt: rr(.slt, i)
    case .sltu: rr(.sltu, i)
    case .xor: rr(.xor, i)
    case .srl: rr(.srl, i)
    case .sra: rr(.sra, i)
    case .or: rr(.or, i)
    case .and: rr(.and, i)
    case .addiw: ri(.addiw, i)
    case .slliw: ri(.slliw, i)
    case .srliw: ri(.srliw, i)
    case .sraiw: ri(.sraiw, i)
    case .addw: rr(.addw, i)
    case .subw: rr(.subw, i)
    case .sllw: rr(.sllw, i)
    case .srlw: rr(.srlw, i)
    case .sraw: rr(.sraw, i)

    // MARK: Control transfer instructions
    case .jal:
      if checksTargets, i.imm & 2 != 0 { builder.emit(helper: checkTarget) }
      if i.rd == 0 {
        builder.end(.goto, imm: target(i.imm))
      } else {
        builder.end(.call, d: i.rd, imm: target(i.imm))
      }
    case .jalr:
      if checksTargets { builder.emit(helper: checkTarget) }
      if i.rd == 0 {
        builder.end(.gotor, a: i.rs1, imm: i.imm)
      } else {
        builder.end(.callr, d: i.rd, a: i.rs1, imm: i.imm)
      }
    case .beq: branch(.beq, i)
    case .bne: branch(.bne, i)
    case .blt: branch(.blt, i)
    case .bge: branch(.bge, i)
    case .bltu: branch(.bltu, i)
    case .bgeu: branch(.bgeu, i)

    // MARK: Load and store instructions
    case .lb: ri(.ld8s, i)
    case .lh: ri(.ld16s, i)
    case .lw: ri(.ld32s, i)
    case .ld: ri(.ld64, i)
    case .lbu: ri(.ld8u, i)
    case .lhu: ri(.ld16u, i)
    case .lwu: ri(.ld32u, i)
    case .sb: store(.st8, i)
    case .sh: store(.st16, i)
    case .sw: store(.st32, i)
    case .sd: store(.st64, i)

    // MARK: Memory ordering, environment, system
    case .fence: break  // One hart runs at a time and sees its own stores in order.
    case .fence_i: builder.end(helper: fenceInstruction)
    case .ecall: builder.end(helper: environmentCall)
    case .ebreak: builder.end(helper: breakpoint)
    case .sret: builder.end(helper: supervisorReturn)
    case .mret: builder.end(helper: machineReturn)
    case .wfi: builder.end(helper: waitForInterrupt)
    case .sfence_vma: builder.end(helper: fenceTranslation, a: i.rs1, b: i.rs2)
    case .csrrw: csr(i, .write, immediate: false)
    case .csrrs: csr(i, .set, immediate: false)
    case .csrrc: csr(i, .clear, immediate: false)
    case .csrrwi: csr(i, .write, immediate: true)
    case .csrrsi: csr(i, .set, immediate: true)
    case .csrrci: csr(i, .clear, immediate: true)

    // MARK: Multiplication and division
    case .mul: rr(.mul, i)
    case .mulh: rr(.mulh, i)
    case .mulhsu: rr(.mulhsu, i)
    case .mulhu: rr(.mulhu, i)
    case .div: rr(.div, i)
    case .divu: rr(.divu, i)
    case .rem: rr(.rem, i)
    case .remu: rr(.remu, i)
    case .mulw: rr(.mulw, i)
    case .divw: rr(.divw, i)
    case .divuw: rr(.divuw, i)
    case .remw: rr(.remw, i)
    case .remuw: rr(.remuw, i)

    // MARK: Atomic instructions
    case .lr_w: exclusive(i, 4, isStore: false)
    case .lr_d: exclusive(i, 8, isStore: false)
    case .sc_w: exclusive(i, 4, isStore: true)
    case .sc_d: exclusive(i, 8, isStore: true)
    case .amoswap_w: amo(i, .swap, 4)
    case .amoadd_w: amo(i, .add, 4)
    case .amoxor_w: amo(i, .xor, 4)
    case .amoand_w: amo(i, .and, 4)
    case .amoor_w: amo(i, .or, 4)
    case .amomin_w: amo(i, .min, 4)
    case .amomax_w: amo(i, .max, 4)
    case .amominu_w: amo(i, .minu, 4)
    case .amomaxu_w: amo(i, .maxu, 4)
    case .amoswap_d: amo(i, .swap, 8)
    case .amoadd_d: amo(i, .add, 8)
    case .amoxor_d: amo(i, .xor, 8)
    case .amoand_d: amo(i, .and, 8)
    case .amoor_d: amo(i, .or, 8)
    case .amomin_d: amo(i, .min, 8)
    case .amomax_d: amo(i, .max, 8)
    case .amominu_d: amo(i, .minu, 8)
    case .amomaxu_d: amo(i, .maxu, 8)

    // MARK: Bit manipulation and conditional operations
    case .add_uw: builder.emit(.shadduw, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 0)
    case .sh1add: builder.emit(.shadd, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 1)
    case .sh2add: builder.emit(.shadd, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 2)
    case .sh3add: builder.emit(.shadd, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 3)
    case .sh1add_uw: builder.emit(.shadduw, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 1)
    case .sh2add_uw: builder.emit(.shadduw, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 2)
    case .sh3add_uw: builder.emit(.shadduw, d: to(i.rd), a: i.rs1, b: i.rs2, imm: 3)
    case .slli_uw: ri(.slliuw, i)
    case .andn: rr(.andn, i)
    case .orn: rr(.orn, i)
    case .xnor: rr(.xnor, i)
    case .clz: rr(.clz, i)
    case .clzw: rr(.clzw, i)
    case .ctz: rr(.ctz, i)
    case .ctzw: rr(.ctzw, i)
    case .cpop: rr(.cpop, i)
    case .cpopw: rr(.cpopw, i)
    case .max: rr(.max, i)
    case .maxu: rr(.maxu, i)
    case .min: rr(.min, i)
    case .minu: rr(.minu, i)
    case .sext_b: rr(.sext8, i)
    case .sext_h: rr(.sext16, i)
    case .zext_h: rr(.zext16, i)
    case .rol: rr(.rol, i)
    case .rolw: rr(.rolw, i)
    case .ror: rr(.ror, i)
    case .rorw: rr(.rorw, i)
    case .rori: ri(.rori, i)
    case .roriw: ri(.roriw, i)
    case .orc_b: rr(.orcb, i)
    case .rev8: rr(.rev8, i)
    case .bclr: rr(.bclr, i)
    case .bclri: ri(.bclri, i)
    case .bext: rr(.bext, i)
    case .bexti: ri(.bexti, i)
    case .binv: rr(.binv, i)
    case .binvi: ri(.binvi, i)
    case .bset: rr(.bset, i)
    case .bseti: ri(.bseti, i)
    case .czero_eqz: rr(.czeroeqz, i)
    case .czero_nez: rr(.czeronez, i)

    default: float(i)
    }
  }

  private func exclusive(_ i: Insn, _ size: UInt8, isStore: Bool) {
    // The helper announces a store, which may not be.
    if !isStore { builder.observeAccess(a: i.rs1, size: size, isStore: false) }
    builder.emit(
      helper: isStore ? storeConditional : loadReserved, d: to(i.rd), a: i.rs1,
      b: isStore ? i.rs2 : 0, c: size)
  }

  private func amo(_ i: Insn, _ function: AtomicFunction, _ size: UInt8) {
    builder.observeAccess(a: i.rs1, size: size, isStore: true)
    builder.emit(
      helper: atomicOperation, d: to(i.rd), a: i.rs1, b: i.rs2, c: size, e: function.rawValue)
  }

  /// A CSR instruction on a register that is a slot of which the bits in `mask` are kept.
  private func storage(_ i: Insn, _ function: CSRFunction, _ slot: UInt8, _ mask: UInt64) {
    guard isPrivileged else {
      builder.end(helper: illegalInstruction)
      return
    }
    // With x0, set and clear write what was there.
    if function != .write, i.rs1 == 0 {
      builder.emit(.mov, d: to(i.rd), a: slot)
      return
    }
    let old = UInt8(Slot.temp)
    if i.rd != 0 { builder.emit(.mov, d: old, a: slot) }
    switch function {
    case .write: builder.emit(.mov, d: slot, a: i.rs1)
    case .set: builder.emit(.or, d: slot, a: slot, b: i.rs1)
    case .clear: builder.emit(.andn, d: slot, a: slot, b: i.rs1)
    }
    if mask != .max { builder.emit(.andi, d: slot, a: slot, imm: Int64(bitPattern: mask)) }
    if i.rd != 0 { builder.emit(.mov, d: i.rd, a: old) }
  }

  /// Reads do not leave the block, nor do writes to floating-point state and to registers that
  /// nothing else looks at; every other write may change what follows.
  private func csr(_ i: Insn, _ function: CSRFunction, immediate: Bool) {
    let number = UInt16(truncatingIfNeeded: i.imm)
    if !immediate, let (slot, kept) = SystemRegisters.supervisorStorage(number) {
      let mask = checksTargets && slot == SystemSlot.sepc ? kept & ~2 : kept
      storage(i, function, UInt8(slot), mask)
      return
    }
    if number == 0x100 {
      let how = function.rawValue | (immediate ? 4 : 0)
      builder.emit(helper: accessStatus, d: to(i.rd), a: i.rs1, b: how)
      return
    }
    let quiet =
      function != .write && i.rs1 == 0 || (1...3).contains(number) && fpState == 3
    let c = UInt8(truncatingIfNeeded: number)
    let e = UInt8(truncatingIfNeeded: number >> 8)
    let b = function.rawValue | (immediate ? 4 : 0)
    if quiet {
      builder.emit(helper: accessRegister, d: to(i.rd), a: i.rs1, b: b, c: c, e: e)
    } else {
      builder.end(helper: accessRegister, d: to(i.rd), a: i.rs1, b: b, c: c, e: e)
    }
  }
}
