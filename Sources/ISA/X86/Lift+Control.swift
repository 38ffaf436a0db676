import Engine

// Control transfer, strings, flags and the rest.

extension Lift {
  /// The branch's target.
  var target: Int64 { wrapped(end &+ i.imm) }

  mutating func conditionalJump() {
    if isSegmented { return segmentedConditionalJump() }
    let a = Lift.flagA
    let b = Lift.flagB
    let zero: UInt8 = 0
    switch (known, i.condition) {
    case (.subtract, 2), (.logic, 2): builder.end(.bltu, a: a, b: b, imm: target)
    case (.subtract, 3), (.logic, 3): builder.end(.bgeu, a: a, b: b, imm: target)
    case (.subtract, 4), (.logic, 4): builder.end(.beq, a: a, b: b, imm: target)
    case (.subtract, 5), (.logic, 5): builder.end(.bne, a: a, b: b, imm: target)
    case (.subtract, 6), (.logic, 6): builder.end(.bgeu, a: b, b: a, imm: target)
    case (.subtract, 7), (.logic, 7): builder.end(.bltu, a: b, b: a, imm: target)
    case (.subtract, 12), (.logic, 12): builder.end(.blt, a: a, b: b, imm: target)
    case (.subtract, 13), (.logic, 13): builder.end(.bge, a: a, b: b, imm: target)
    case (.subtract, 14), (.logic, 14): builder.end(.bge, a: b, b: a, imm: target)
    case (.subtract, 15), (.logic, 15): builder.end(.blt, a: b, b: a, imm: target)
    case (.result, 4): builder.end(.beq, a: a, b: zero, imm: target)
    case (.result, 5): builder.end(.bne, a: a, b: zero, imm: target)
    case (.result, 8), (.logic, 8): builder.end(.blt, a: a, b: zero, imm: target)
    case (.result, 9), (.logic, 9): builder.end(.bge, a: a, b: zero, imm: target)
    default: builder.end(.bcc, c: i.condition, imm: target)
    }
  }

  /// JRCXZ, LOOP, LOOPE, LOOPNE: the count is ECX with an address-size prefix.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'LOOP/LOOPcc - Loop According to ECX Counter'.
  mutating func countedJump() {
    let short = i.prefixes.contains(.addressSize)
    let rcx = Lift.rcx
    if isSegmented || i.prefixes.contains(.narrow) { return segmentedCountedJump() }
    if i.op == .jrcxz {
      if short { builder.emit(.zext32, d: T.a, a: rcx) }
      builder.end(.beq, a: short ? T.a : rcx, b: 0, imm: target)
      return
    }
    builder.emit(short ? .addi32 : .addi, d: rcx, a: rcx, imm: -1)
    if i.op == .loop {
      builder.end(.bne, a: rcx, b: 0, imm: target)
      return
    }
    builder.emit(.setcc, d: T.a, c: i.op == .loope ? 4 : 5)
    builder.emit(.czeroeqz, d: T.a, a: T.a, b: rcx)
    builder.end(.bne, a: T.a, b: 0, imm: target)
  }

  /// Checks that a computed target is canonical.
  private func checked(_ slot: UInt8) -> UInt8 {
    if isSegmented { return checkedTarget(slot) }
    if legacy {
      builder.emit(i.size == 2 ? .zext16 : .zext32, d: T.v, a: slot)
      return T.v
    }
    builder.emit(helper: checkTarget, a: slot)
    return slot
  }

  /// - SeeAlso: Intel SDM volume 2, 'JMP - Jump'.
  mutating func jump() {
    if row[0].place == .relative {
      return isSegmented ? segmentedJump() : builder.end(.goto, imm: target)
    }
    builder.end(.jumpr, a: checked(read(0, T.a)))
  }

  /// - SeeAlso: Intel SDM volume 2, 'CALL - Call Procedure'.
  mutating func call() {
    if isSegmented { return segmentedCall() }
    let relative = row[0].place == .relative
    let size = i.size
    var to: UInt8 = 0
    if !relative {
      to = read(0, T.a)
      // The stack pointer may be the target.
      if to == Lift.rsp {
        builder.emit(.mov, d: T.a, a: to)
        to = T.a
      }
      // A fault of the push comes before one of the target.
      loadForModify(T.r, Address(a: Lift.rsp, imm: -Int64(size), stack: 1), size)
      to = checked(to)
    }
    builder.emit(.movi, d: T.r, imm: returnAddress)
    push(T.r, size)
    if relative { builder.end(.goto, imm: target) } else { builder.end(.jumpr, a: to) }
  }

  /// - SeeAlso: Intel SDM volume 2, 'RET - Return From Procedure'.
  mutating func ret() {
    load(T.a, stack(0, i.size), i.size)
    let to = checked(T.a)
    addSP(Int64(i.size) &+ (row.immediate == .none ? 0 : i.imm))
    builder.end(.jumpr, a: to)
  }

  // MARK: Strings

  /// One string instruction: an iteration, or under a repeat prefix as many as go.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'REP/REPE/REPZ/REPNE/REPNZ - Repeat String Operation Prefix'.
  mutating func string(_ op: StringOp) {
    var size: UInt8 = i.opcode & 1 == 0 ? 1 : i.size
    if op == .ins || op == .outs { size = min(size, 4) }
    var e = size
    var repeats = false
    if !i.prefixes.isDisjoint(with: [.rep, .repne]) {
      repeats = true
      e |= i.prefixes.contains(.repne) ? StringOp.repne : StringOp.rep
    }
    if i.prefixes.contains(.addressSize) { e |= StringOp.short }
    if stepping { e |= StringOp.stepping }
    var base = segment ?? 0
    var c = op.rawValue
    if legacy {
      base = UInt8(namedSegment ?? SegmentRegister.ds)
      c |= StringOp.legacy | (i.prefixes.contains(.narrow) ? StringOp.narrow : 0)
    }
    if op == .cmps || op == .scas { known = .unknown }
    if repeats {
      builder.emit(.movi, d: T.next, imm: end)
      builder.emit(helper: stringOperation, d: T.next, a: base, c: c, e: e)
      builder.end(.jumpr, a: T.next)
    } else {
      builder.emit(helper: stringOperation, d: Lift.sink, a: base, c: c, e: e)
    }
  }

  // MARK: Flags

  mutating func changeFlags() {
    known = .unknown
    switch i.op {
    case .clc, .stc, .cmc:
      builder.emit(.flags, d: T.a)
      let op: Engine.Op = i.op == .clc ? .andi : i.op == .stc ? .ori : .xori
      builder.emit(op, d: T.a, a: T.a, imm: i.op == .clc ? ~1 : 1)
      builder.emit(.setFlags, a: T.a)
    case .sahf:
      builder.emit(.flags, d: T.a)
      builder.emit(.andi, d: T.a, a: T.a, imm: ~0xd5)
      builder.emit(.ext8h, d: T.b, a: Lift.rax)
      builder.emit(.andi, d: T.b, a: T.b, imm: 0xd5)
      builder.emit(.or, d: T.a, a: T.a, b: T.b)
      builder.emit(.setFlags, a: T.a)
    case .lahf:
      builder.emit(.flags, d: T.a)
      builder.emit(.ori, d: T.a, a: T.a, imm: 2)
      builder.emit(.ins8h, d: Lift.rax, a: T.a)
    case .cld:
      builder.emit(
        .andi, d: UInt8(Registers.otherFlags), a: UInt8(Registers.otherFlags),
        imm: ~Int64(RFlags.direction))
    case .std:
      builder.emit(
        .ori, d: UInt8(Registers.otherFlags), a: UInt8(Registers.otherFlags),
        imm: Int64(RFlags.direction))
    case .pushf:
      builder.emit(helper: readFlags, d: T.a)
      push(T.a, i.size)
    default:
      load(T.a, stack(0, i.size), i.size)
      addSP(Int64(i.size))
      // TF may have changed.
      builder.end(helper: writeFlags, a: T.a, e: i.size)
    }
  }

  /// Says that the instruction is a branch: TF steps from one to the next.
  private func noteBranching() {
    if row.traits.contains(.branch) {
      builder.emit(.movi, d: T.w, imm: target)
      builder.emit(helper: noteBranch, a: T.w)
    } else if row.traits.contains(.jump) {
      builder.emit(helper: noteBranch, c: 1)
    }
  }

  // MARK: The main switch

  /// Lifts one instruction.
  mutating func lift(_ insn: Insn) {
    i = insn
    // The same in both tables.
    row = Tables.shared.info.withUnsafeBufferPointer { $0[Int(insn.row)] }
    if isSegmented { builder.emit(helper: checkFetch, c: i.length) }
    if mode & X64.TranslationFlag.branches != 0 { noteBranching() }
    if mode & X64.TranslationFlag.virtual != 0, [.int, .pushf, .popf, .iret].contains(i.op) {
      builder.emit(helper: requireVirtualPrivilege)
    }
    switch i.op {
    case .mov: move()
    case .movzx: moveZero()
    case .movsx, .movsxd: moveSigned()
    case .lea: loadAddress()
    case .xchg: exchange()
    case .cmovcc: conditionalMove()
    case .setcc: setCondition()
    case .push: push()
    case .pop: pop()
    case .leave: leave()
    case .cbw: widenAccumulator()
    case .cwd: spreadSign()
    case .add: binary(.add, .add)
    case .sub: binary(.sub, .sub)
    case .and: binary(.and, .and)
    case .or: binary(.or, .or)
    case .xor: binary(.xor, .xor)
    case .adc: carrying(.cadc)
    case .sbb: carrying(.csbb)
    case .cmp: compare(.ccmp, .ccmpi)
    case .test: compare(.ctest, .ctesti)
    case .inc: count(.cinc)
    case .dec: count(.cdec)
    case .neg: negate()
    case .not: complement()
    case .jmp: jump()
    case .jcc: conditionalJump()
    case .jrcxz, .loop, .loope, .loopne: countedJump()
    case .call: call()
    case .ret: ret()
    case .movs: string(.movs)
    case .cmps: string(.cmps)
    case .stos: string(.stos)
    case .lods: string(.lods)
    case .scas: string(.scas)
    case .clc, .stc, .cmc, .cld, .std, .lahf, .sahf, .pushf, .popf: changeFlags()
    case .nop, .fence, .prefetch: break
    case .int3: builder.end(helper: softwareInterrupt, c: 3)
    case .int1: builder.end(helper: raiseTrap, c: 1)
    case .int: builder.end(helper: softwareInterrupt, c: UInt8(truncatingIfNeeded: i.imm))
    case .syscall: builder.end(helper: systemCall)
    case .ud: builder.end(helper: raiseFault, c: 6)
    default: rest()
    }
  }

  /// What goes to helpers.
  private mutating func rest() {
    switch i.op {
    case .rol, .ror, .rcl, .rcr, .shl, .shr, .sar: shift()
    case .shld, .shrd: doubleShift()
    case .bt, .bts, .btr, .btc: bitTest()
    case .bsf, .bsr, .popcnt, .lzcnt, .tzcnt: bitCount()
    case .andn, .bextr, .blsi, .blsmsk, .blsr, .bzhi, .mulx, .pdep, .pext, .rorx, .sarx, .shlx,
      .shrx:
      bitManipulation()
    case .mul, .imul1, .imul, .div, .idiv, .adcx, .adox, .crc32: multiply()
    case .xadd, .cmpxchg, .cmpxchg8b, .cmpxchg16b: exchangeArithmetic()
    case .bswap, .movbe: swapBytes()
    case .enter:
      builder.emit(
        helper: enterFrame, a: UInt8(truncatingIfNeeded: i.imm),
        b: UInt8(truncatingIfNeeded: i.imm >> 8), c: i.imm2, e: i.size)
    case .xlat:
      builder.emit(.andi, d: T.a, a: Lift.rax, imm: 0xff)
      builder.emit(.add, d: T.a, a: T.a, b: Lift.rbx)
      if i.prefixes.contains(.addressSize) {
        builder.emit(i.prefixes.contains(.narrow) ? .zext16 : .zext32, d: T.a, a: T.a)
      }
      if checksOperand {
        load(T.a, linear(Address(a: T.a, imm: 0), segmentRegister, 1, store: false), 1)
      } else {
        if let segment { builder.emit(.add, d: T.a, a: T.a, b: segment) }
        load(T.a, Address(a: T.a, imm: 0), 1)
      }
      builder.emit(.ins8, d: Lift.rax, a: T.a)
    case .mov_from_seg: moveFromSegment()
    case .cpuid: builder.emit(helper: identify)
    case .rdtsc: builder.emit(helper: readCounter)
    case .rdtscp: builder.emit(helper: readCounter, c: 1)
    case .rdpid: builder.emit(helper: readSystem, d: gpr(i.rm), c: SystemValue.processor)
    case .xgetbv: builder.emit(helper: readExtendedControl)
    case .clflush:
      load(Lift.sink, address(), 1)
    case .rdfsbase, .rdgsbase:
      builder.emit(helper: requireBases)
      let base = UInt8(i.op == .rdfsbase ? Registers.fsBase : Registers.gsBase)
      builder.emit(size(0) == 8 ? .mov : .zext32, d: gpr(i.rm), a: base)
    case .wrfsbase, .wrgsbase:
      builder.emit(helper: requireBases)
      let base = UInt8(i.op == .wrfsbase ? Registers.fsBase : Registers.gsBase)
      if size(0) == 4 {
        builder.emit(.zext32, d: base, a: gpr(i.rm))
      } else {
        builder.emit(helper: checkTarget, a: gpr(i.rm))
        builder.emit(.mov, d: base, a: gpr(i.rm))
      }
    default:
      if let fault = unitFault { return builder.end(helper: raiseFault, c: fault) }
      if !legacyInstruction(), !x87Instruction(), !mmxInstruction(), !stateInstruction(), !system()
      {
        vector()
      }
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'MOV - Move'.
  private mutating func moveFromSegment() {
    guard i.reg & 7 < 6 else { return builder.end(helper: raiseFault, c: 6) }
    builder.emit(helper: readSelector, d: T.a, c: i.reg & 7)
    if isMemory(0) { store(T.a, address(), 2) } else { writeLow(0, T.a) }
  }
}
