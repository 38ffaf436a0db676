import Engine

// Data transfer, arithmetic and logic.

/// A micro-op in its forms: setting flags, on 64 bits, on 32 bits zero-extended.
struct Binary {
  let flags: Engine.Op
  let flagsImmediate: Engine.Op
  let wide: Engine.Op
  let wideImmediate: Engine.Op
  let narrow: Engine.Op
  let narrowImmediate: Engine.Op

  static let add = Binary(
    flags: .cadd, flagsImmediate: .caddi, wide: .add, wideImmediate: .addi, narrow: .add32,
    narrowImmediate: .addi32)
  static let sub = Binary(
    flags: .csub, flagsImmediate: .csubi, wide: .sub, wideImmediate: .addi, narrow: .sub32,
    narrowImmediate: .addi32)
  static let and = Binary(
    flags: .cand, flagsImmediate: .candi, wide: .and, wideImmediate: .andi, narrow: .and32,
    narrowImmediate: .andi)
  static let or = Binary(
    flags: .cor, flagsImmediate: .cori, wide: .or, wideImmediate: .ori, narrow: .or32,
    narrowImmediate: .ori32)
  static let xor = Binary(
    flags: .cxor, flagsImmediate: .cxori, wide: .xor, wideImmediate: .xori, narrow: .xor32,
    narrowImmediate: .xori32)
}

extension Lift {
  /// ADD, SUB, AND, OR, XOR.
  mutating func binary(_ op: Engine.Op, _ form: Binary) {
    let size = size(0)
    let kind = op == .add ? FlagKind.add : FlagKind.subtract
    let c = FlagKind.with(kind, size: size)
    let immediate = row[1].place == .immediate
    let memory = isMemory(0)
    if !memory, !immediate, !isMemory(1), size >= 4, op == .sub || op == .xor,
      number(0) == number(1)
    {
      // A register set to zero.
      builder.emit(.movi, d: gpr(number(0)), imm: 0)
      if flagsLive { builder.emit(.ccmpi, a: 0, c: c, imm: 0) }
      known = flagsLive ? .logic : .unknown
      return
    }
    // A source in memory is loaded before anything is written.
    let b = memory || immediate ? 0 : read(1, T.b)
    let live = flagsLive
    modify { lift, a, d in
      let b = memory && !immediate ? lift.read(1, T.b) : b
      lift.compute(form, d: d, a: a, b: b, immediate: immediate, size: size, c: live ? c : nil)
    }
    if live { known = op == .add ? .unknown : op == .sub ? .subtract : .logic }
  }

  private func compute(
    _ form: Binary, d: UInt8, a: UInt8, b: UInt8, immediate: Bool, size: UInt8, c: UInt8?
  ) {
    if let c {
      if immediate {
        builder.emit(form.flagsImmediate, d: d, a: a, c: c, imm: i.imm)
      } else {
        builder.emit(form.flags, d: d, a: a, b: b, c: c)
      }
    } else if immediate {
      var imm = i.op == .sub ? 0 &- i.imm : i.imm
      if i.op == .and, size == 4 { imm &= 0xffff_ffff }
      builder.emit(size == 4 ? form.narrowImmediate : form.wideImmediate, d: d, a: a, imm: imm)
    } else {
      builder.emit(size == 4 ? form.narrow : form.wide, d: d, a: a, b: b)
    }
  }

  /// ADC and SBB.
  mutating func carrying(_ op: Engine.Op) {
    let c = FlagKind.with(FlagKind.result, size: size(0))
    let inMemory = isMemory(0)
    let early = inMemory ? 0 : read(1, T.b)
    modify { lift, a, d in
      let b = inMemory ? lift.read(1, T.b) : early
      lift.builder.emit(op, d: d, a: a, b: b, c: c)
    }
    known = .result
  }

  /// CMP and TEST.
  mutating func compare(_ op: Engine.Op, _ immediateOp: Engine.Op) {
    let c = FlagKind.with(FlagKind.subtract, size: size(0))
    let a = read(0, T.a)
    let immediate = row[1].place == .immediate
    let b = immediate ? 0 : read(1, T.b)
    guard flagsLive else { return }
    if immediate {
      builder.emit(immediateOp, a: a, c: c, imm: i.imm)
    } else {
      builder.emit(op, a: a, b: b, c: c)
    }
    known = op == .ctest ? .logic : .subtract
  }

  /// INC and DEC.
  mutating func count(_ op: Engine.Op) {
    let size = size(0)
    let live = flagsLive
    let c = FlagKind.with(FlagKind.result, size: size)
    modify { lift, a, d in
      if live {
        lift.builder.emit(op, d: d, a: a, c: c)
      } else {
        lift.builder.emit(size == 4 ? .addi32 : .addi, d: d, a: a, imm: op == .cinc ? 1 : -1)
      }
    }
    if live { known = .result }
  }

  /// - SeeAlso: Intel SDM volume 2, 'NEG - Two's Complement Negation'.
  mutating func negate() {
    let c = FlagKind.with(FlagKind.subtract, size: size(0))
    modify { lift, a, d in lift.builder.emit(.csub, d: d, a: 0, b: a, c: c) }
    known = .subtract
  }

  mutating func complement() {
    let size = size(0)
    modify { lift, a, d in
      lift.builder.emit(size == 4 ? .xori32 : .xori, d: d, a: a, imm: -1)
    }
  }

  // MARK: Data transfer

  mutating func move() {
    let immediate = row[1].place == .immediate
    if isMemory(0) {
      let at = address()
      // The value is read behind the address: it may need a temporary of its own.
      store(immediate && i.imm == 0 ? 0 : read(1, T.b), at, size(0))
    } else if isMemory(1), size(0) >= 4 {
      load(gpr(number(0)), address(), size(1))
    } else if immediate, size(0) >= 4 {
      builder.emit(
        .movi, d: gpr(number(0)), imm: size(0) == 4 ? i.imm & 0xffff_ffff : i.imm)
    } else {
      writeLow(0, read(1, T.b))
    }
  }

  mutating func moveZero() {
    if isMemory(1) {
      let d = place(0, T.r)
      load(d, address(), size(1))
      write(0, d)
    } else if isHigh(1) {
      let d = place(0, T.r)
      builder.emit(.ext8h, d: d, a: gpr(number(1) & 3))
      write(0, d)
    } else {
      let d = place(0, T.r)
      zeroExtend(d, gpr(number(1)), size(1))
      write(0, d)
    }
  }

  mutating func moveSigned() {
    let from = size(1)
    let to = size(0)
    if isMemory(1) {
      if from == to { return writeLow(0, read(1, T.r)) }
      let d = to == 8 ? gpr(number(0)) : T.r
      loadSigned(d, address(), from)
      writeLow(0, d)
      return
    }
    let source = read(1, T.a)
    let d = to == 8 ? gpr(number(0)) : T.r
    switch from {
    case 1: builder.emit(.sext8, d: d, a: source)
    case 2: builder.emit(.sext16, d: d, a: source)
    default: builder.emit(.addiw, d: d, a: source, imm: 0)
    }
    writeLow(0, d)
  }

  /// - SeeAlso: Intel SDM volume 2, 'LEA - Load Effective Address'.
  mutating func loadAddress() {
    let at = offset()
    // A narrow result goes by the slot of results; one of 32 bits is cut off by the last step.
    let isNarrow = size(0) < 4
    let d = isNarrow ? T.r : gpr(number(0))
    let (add, addImmediate): (Engine.Op, Engine.Op) =
      size(0) == 4 ? (.add32, .addi32) : (.add, .addi)
    if let index = at.index {
      if at.scale == 0, at.imm == 0 {
        builder.emit(add, d: d, a: index, b: at.a)
      } else {
        let isWhole = size(0) == 8 || isNarrow
        let sum = isWhole ? d : T.r
        if at.scale == 0 {
          builder.emit(.add, d: sum, a: index, b: at.a)
        } else {
          builder.emit(.shadd, d: sum, a: index, b: at.a, imm: Int64(at.scale))
        }
        if at.imm != 0 || !isWhole { builder.emit(addImmediate, d: d, a: sum, imm: at.imm) }
      }
    } else if at.a == 0 {
      builder.emit(.movi, d: d, imm: size(0) == 4 ? at.imm & 0xffff_ffff : at.imm)
    } else {
      builder.emit(addImmediate, d: d, a: at.a, imm: at.imm)
    }
    if isNarrow { writeLow(0, d) }
  }

  mutating func exchange() {
    if isMemory(0) {
      let at = plain(address())
      loadForModify(T.a, at, size(0))
      store(read(1, T.b), at, size(0))
      writeLow(1, T.a)
      return
    }
    let a = read(0, T.a)
    let b = read(1, T.b)
    builder.emit(.mov, d: T.c, a: a)
    if b == T.b {
      writeLow(0, b)
    } else {
      builder.emit(.mov, d: T.r, a: b)
      writeLow(0, T.r)
    }
    writeLow(1, T.c)
  }

  mutating func conditionalMove() {
    let source = readZero(1, T.b)
    let (slot, ifZero) = condition(i.condition, T.c)
    let move: Engine.Op = ifZero ? .movz : .movnz
    let d = gpr(number(0))
    if size(0) == 2 {
      builder.emit(.mov, d: T.r, a: d)
      builder.emit(move, d: T.r, a: source, b: slot)
      builder.emit(.ins16, d: d, a: T.r)
    } else {
      if size(0) == 4 { builder.emit(.zext32, d: d, a: d) }
      builder.emit(move, d: d, a: source, b: slot)
    }
  }

  mutating func setCondition() {
    let (slot, ifZero) = condition(i.condition, T.c)
    if ifZero { builder.emit(.sltiu, d: T.c, a: slot, imm: 1) }
    let from = ifZero ? T.c : slot
    if isMemory(0) { store(from, address(), 1) } else { write(0, from) }
  }

  /// A slot that is 1 where the condition holds; or, with `ifZero`, zero where it does and only
  /// there.
  func condition(_ code: UInt8, _ temp: UInt8) -> (slot: UInt8, ifZero: Bool) {
    let a = Lift.flagA
    let b = Lift.flagB
    switch (known, code) {
    case (.subtract, 2), (.logic, 2): builder.emit(.sltu, d: temp, a: a, b: b)
    case (.subtract, 7), (.logic, 7): builder.emit(.sltu, d: temp, a: b, b: a)
    case (.subtract, 12), (.logic, 12): builder.emit(.slt, d: temp, a: a, b: b)
    case (.subtract, 15), (.logic, 15): builder.emit(.slt, d: temp, a: b, b: a)
    case (.logic, 8), (.result, 8): builder.emit(.slt, d: temp, a: a, b: 0)
    case (.subtract, 4), (.logic, 4):
      builder.emit(.xor, d: temp, a: a, b: b)
      return (temp, true)
    case (.result, 4): return (a, true)
    default: builder.emit(.setcc, d: temp, c: code)
    }
    return (temp, false)
  }

  /// CBW, CWDE, CDQE.
  func widenAccumulator() {
    let rax = Lift.rax
    switch i.size {
    case 2:
      builder.emit(.sext8, d: T.r, a: rax)
      builder.emit(.ins16, d: rax, a: T.r)
    case 4:
      builder.emit(.sext16, d: T.r, a: rax)
      builder.emit(.zext32, d: rax, a: T.r)
    default: builder.emit(.addiw, d: rax, a: rax, imm: 0)
    }
  }

  /// CWD, CDQ, CQO.
  func spreadSign() {
    switch i.size {
    case 2:
      builder.emit(.sext16, d: T.r, a: Lift.rax)
      builder.emit(.srai, d: T.r, a: T.r, imm: 63)
      builder.emit(.ins16, d: Lift.rdx, a: T.r)
    case 4: builder.emit(.sar32i, d: Lift.rdx, a: Lift.rax, imm: 31)
    default: builder.emit(.srai, d: Lift.rdx, a: Lift.rax, imm: 63)
    }
  }

  // MARK: The stack

  /// Pushes a slot.
  func push(_ from: UInt8, _ size: UInt8) {
    store(from, stack(-Int64(size), size, store: true), size)
    addSP(-Int64(size))
  }

  mutating func push() {
    // POP and PUSH of RSP itself use the value of before.
    push(read(0, T.a), i.size)
  }

  /// - SeeAlso: Intel SDM volume 2, 'POP - Pop a Value From the Stack'.
  mutating func pop() {
    let size = i.size
    let top = stack(0, size)
    if isMemory(0) {
      load(T.a, top, size)
      // An address by RSP is computed from its new value.
      if i.base == 4, !i.prefixes.contains(.narrow) { i.disp &+= Int64(size) }
      store(T.a, address(), size)
      addSP(Int64(size))
      return
    }
    let d = gpr(number(0))
    if size == 8, d != Lift.rsp {
      load(d, top, 8)
      builder.emit(.addi, d: Lift.rsp, a: Lift.rsp, imm: 8)
      return
    }
    load(T.a, top, size)
    addSP(Int64(size))
    write(0, T.a)
  }

  mutating func leave() {
    load(T.a, stack(0, from: Lift.rbp, i.size), i.size)
    addSP(Int64(i.size), from: Lift.rbp)
    builder.emit(i.size == 2 ? .ins16 : .mov, d: Lift.rbp, a: T.a)
  }
}
