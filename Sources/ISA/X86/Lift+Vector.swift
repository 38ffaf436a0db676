import Engine

// Vector instructions: moves by micro-ops, the rest by helpers.

/// What a vector helper's `e` says.
enum VectorFlags {
  static let wide256: UInt8 = 1
  static let wide64: UInt8 = 2
}

extension Lift {
  func vectorSlot(_ number: UInt8) -> UInt8 { UInt8(Registers.vector) &+ number &* 4 }

  /// Whether the operation is one of 256 bits: scalar ones ignore VEX.L.
  var is256: Bool {
    guard i.prefixes.contains(.vex256) else { return false }
    return (0..<Int(row.count)).contains { row[$0].type == .x || row[$0].type == .qq }
  }

  /// Loads a vector operand, or a part of one, into the temporary.
  func loadVector(_ size: UInt8) -> UInt8 {
    var at = address()
    let t = T.vector
    switch size {
    case 16, 32:
      at = aligned(at, size)
      // `c` says how far the whole access goes.
      builder.emit(.ldv, d: t, a: at.a, c: size, e: at.stack, imm: at.imm)
      if size == 32 { builder.emit(.ldv, d: t + 2, a: at.a, e: at.stack, imm: at.imm &+ 16) }
    default: load(t, at, size)
    }
    return t
  }

  /// Raises #GP where an operand that must be aligned is not.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Data Alignment' of the Intel SSE chapters.
  private func aligned(_ address: Address, _ size: UInt8) -> Address {
    let at = plain(address)
    guard row.traits.contains(.aligned) else { return at }
    let slot = addressValue(at)
    builder.emit(helper: checkAlignment, a: slot, c: size &- 1, e: at.stack)
    return Address(a: slot, imm: 0, stack: at.stack)
  }

  private func zeroUpper(_ d: UInt8) {
    guard i.prefixes.contains(.vex) else { return }
    builder.emit(.movi, d: d + 2, imm: 0)
    builder.emit(.movi, d: d + 3, imm: 0)
  }

  mutating func vector() {
    switch i.op {
    case .movaps, .movups: moveVector()
    case .mov_ss, .mov_sd, .movl, .movh, .movhlps, .movlhps, .movq_load, .movd_to, .movd_from:
      movePart()
    case .movddup: duplicateLow()
    case .maskmov: maskedStore(vectorSlot(i.reg), vectorSlot(i.rm), 16)
    case .ldmxcsr:
      load(T.a, address(), 4)
      builder.emit(helper: loadControl, a: T.a)
    case .stmxcsr:
      // By a helper: until one is called compiled code keeps exceptions in the host's MXCSR.
      let at = plain(address())
      builder.emit(helper: readControl, d: T.a)
      store(T.a, at, 4)
    case .extr: extract()
    case .vzero: builder.emit(helper: zeroVectors, c: i.prefixes.contains(.vex256) ? 0 : 2)
    case .extractf128, .cvtps2ph: storePart()
    case .maskmovd, .maskmovqq: maskedMove()
    case .gather: gather()
    default:
      guard let helper = VectorHelpers.helper(i.op) else {
        return builder.end(helper: raiseFault, c: 6)
      }
      compute(helper)
    }
  }

  /// An operation by helper: `d` destination, `a` first source, `b` second, `c` immediate.
  private mutating func compute(_ helper: @escaping Helper) {
    var d = vectorSlot(i.reg)
    var a = d
    var b = d
    var toVector = true
    for n in 0..<Int(row.count) {
      switch row[n].place {
      case .vectorReg: d = vectorSlot(i.reg)
      case .vectorVvvv: if n == 0 { d = vectorSlot(i.vvvv) } else { a = vectorSlot(i.vvvv) }
      case .vectorRmRegister:
        b = vectorSlot(i.rm)
        if n == 0 { d = b }
        if n == 0 || row[0].place == .vectorVvvv { a = b }
      case .memory: b = loadVector(size(n))
      case .vectorRm: b = i.rmIsRegister ? vectorSlot(i.rm) : loadVector(size(n))
      case .rm: b = read(n, T.vector)
      case .reg:
        d = gpr(i.reg)
        toVector = false
      default: break
      }
    }
    if row[0].place == .vectorReg, row.count > 1, row[1].place != .vectorVvvv { a = d }
    var e: UInt8 = is256 ? VectorFlags.wide256 : 0
    if i.prefixes.contains(.wide) { e |= VectorFlags.wide64 }
    if i.op == .insr {
      // Bits 4 and up say the bytes.
      e = (i.opcode == 0x20 ? 1 : i.opcode == 0xc4 ? 2 : i.prefixes.contains(.wide) ? 8 : 4) << 4
    }
    var c = UInt8(truncatingIfNeeded: i.imm)
    switch i.op {
    // Without VEX there are eight predicates.
    case .cmpps, .cmppd, .cmpss, .cmpsd: if !i.prefixes.contains(.vex) { c &= 7 }
    // The slot of the mask.
    case .pblendvb, .blendvps, .blendvpd:
      c = vectorSlot(i.prefixes.contains(.vex) ? UInt8(truncatingIfNeeded: i.imm) >> 4 : 0)
    // Which of the three operands is added: 132, 213, 231.
    case .fmaddp, .fmadds, .fmsubp, .fmsubs, .fnmaddp, .fnmadds, .fnmsubp, .fnmsubs, .fmaddsubp,
      .fmsubaddp:
      c = (i.opcode >> 4) - 9
    default: break
    }
    builder.emit(helper: helper, d: d, a: a, b: b, c: c, e: e)
    if row.written != 0 { known = .unknown }
    if i.op == .pcmpestrm || i.op == .pcmpistrm { zeroUpper(UInt8(Registers.vector)) }
    if toVector, !is256, row.written == 0 { zeroUpper(d) }
  }

  private mutating func moveVector() {
    if row[0].place == .vectorReg {
      let d = vectorSlot(i.reg)
      if i.rmIsRegister {
        let b = vectorSlot(i.rm)
        builder.emit(.movv, d: d, a: b)
        if is256 { builder.emit(.movv, d: d + 2, a: b + 2) }
      } else if is256 {
        let t = loadVector(32)
        builder.emit(.movv, d: d, a: t)
        builder.emit(.movv, d: d + 2, a: t + 2)
      } else {
        let at = aligned(address(), 16)
        builder.emit(.ldv, d: d, a: at.a, e: at.stack, imm: at.imm)
      }
      if !is256 { zeroUpper(d) }
      return
    }
    let from = vectorSlot(i.reg)
    if i.rmIsRegister {
      let d = vectorSlot(i.rm)
      builder.emit(.movv, d: d, a: from)
      if is256 { builder.emit(.movv, d: d + 2, a: from + 2) } else { zeroUpper(d) }
      return
    }
    let at = aligned(address(), is256 ? 32 : 16)
    if is256 {
      // All or nothing.
      for part in [Int64(0), 8, 16, 24] {
        builder.emit(
          .ldm64, d: Lift.sink, a: at.a, c: part == 0 ? 32 : 0, e: at.stack, imm: at.imm &+ part)
      }
    }
    builder.emit(.stv, a: at.a, b: from, e: at.stack, imm: at.imm)
    if is256 { builder.emit(.stv, a: at.a, b: from + 2, e: at.stack, imm: at.imm &+ 16) }
  }

  private mutating func movePart() {
    let reg = vectorSlot(i.reg)
    let rm = vectorSlot(i.rm)
    let toMemory = isMemory(0)
    let fromMemory = !toMemory && !i.rmIsRegister
    let toReg = row[0].place == .vectorReg
    switch i.op {
    case _
    where i.prefixes.contains(.vex) && i.op != .movq_load && i.op != .movd_to
      && i.op != .movd_from:
      mergePart(toMemory: toMemory, fromMemory: fromMemory)
    case .mov_ss:
      if toMemory { return store(reg, address(), 4) }
      if fromMemory {
        load(reg, address(), 4)
        return builder.emit(.movi, d: reg + 1, imm: 0)
      }
      builder.emit(.ins32, d: toReg ? reg : rm, a: toReg ? rm : reg)
    case .mov_sd:
      if toMemory { return store(reg, address(), 8) }
      if fromMemory {
        load(reg, address(), 8)
        return builder.emit(.movi, d: reg + 1, imm: 0)
      }
      builder.emit(.mov, d: toReg ? reg : rm, a: toReg ? rm : reg)
    case .movl: if toMemory { store(reg, address(), 8) } else { load(reg, address(), 8) }
    case .movh: if toMemory { store(reg + 1, address(), 8) } else { load(reg + 1, address(), 8) }
    case .movhlps: builder.emit(.mov, d: reg, a: rm + 1)
    case .movlhps: builder.emit(.mov, d: reg + 1, a: rm)
    case .movq_load:
      if toMemory { return store(reg, address(), 8) }
      let d = toReg ? reg : rm
      if fromMemory { load(d, address(), 8) } else { builder.emit(.mov, d: d, a: toReg ? rm : reg) }
      builder.emit(.movi, d: d + 1, imm: 0)
      zeroUpper(d)
    case .movd_to:
      let from = read(1, T.a)
      builder.emit(size(1) == 8 ? .mov : .zext32, d: reg, a: from)
      builder.emit(.movi, d: reg + 1, imm: 0)
      zeroUpper(reg)
    default:
      if toMemory { store(reg, address(), size(0)) } else { writeLow(0, reg) }
    }
  }

  /// The three-operand forms: what does not come from the source comes from VEX.vvvv.
  private mutating func mergePart(toMemory: Bool, fromMemory: Bool) {
    let reg = vectorSlot(i.reg)
    if toMemory {
      return store(i.op == .movh ? reg + 1 : reg, address(), i.op == .mov_ss ? 4 : 8)
    }
    let first = vectorSlot(i.vvvv)
    let toReg = row[0].place == .vectorReg
    let d = toReg ? reg : vectorSlot(i.rm)
    if fromMemory, i.op == .mov_ss || i.op == .mov_sd {
      load(d, address(), i.op == .mov_ss ? 4 : 8)
      builder.emit(.movi, d: d + 1, imm: 0)
      return zeroUpper(d)
    }
    let second = fromMemory ? T.a : toReg ? vectorSlot(i.rm) : reg
    if fromMemory { load(T.a, address(), 8) }
    builder.emit(.movv, d: T.vector, a: first)
    switch i.op {
    case .mov_ss: builder.emit(.ins32, d: T.vector, a: second)
    case .movhlps: builder.emit(.mov, d: T.vector, a: second + 1)
    case .movh, .movlhps: builder.emit(.mov, d: T.vector + 1, a: second)
    default: builder.emit(.mov, d: T.vector, a: second)
    }
    builder.emit(.movv, d: d, a: T.vector)
    zeroUpper(d)
  }

  private mutating func duplicateLow() {
    if i.prefixes.contains(.vex) {
      let d = vectorSlot(i.reg)
      let from = i.rmIsRegister ? vectorSlot(i.rm) : loadVector(size(1))
      for half in UInt8(0)..<(is256 ? 2 : 1) {
        builder.emit(.mov, d: T.a, a: from + half * 2)
        builder.emit(.mov, d: d + half * 2, a: T.a)
        builder.emit(.mov, d: d + half * 2 + 1, a: T.a)
      }
      if !is256 { zeroUpper(d) }
      return
    }
    let d = vectorSlot(i.reg)
    if i.rmIsRegister {
      builder.emit(.mov, d: T.a, a: vectorSlot(i.rm))
    } else {
      load(T.a, address(), 8)
    }
    builder.emit(.mov, d: d, a: T.a)
    builder.emit(.mov, d: d + 1, a: T.a)
  }

  /// PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: the bits that the immediate chooses.
  private mutating func extract() {
    let bytes: Int64 = i.opcode == 0x14 ? 1 : i.opcode == 0x15 ? 2 : Int64(size(0))
    let index = i.imm & (16 / bytes - 1)
    let bit = index * bytes * 8
    let from = vectorSlot(i.reg) + UInt8(bit / 64)
    builder.emit(.srli, d: T.r, a: from, imm: bit % 64)
    if isMemory(0) { return store(T.r, address(), size(0)) }
    zeroExtend(T.r, T.r, UInt8(bytes))
    builder.emit(.mov, d: gpr(i.rm), a: T.r)
  }
}

/// #GP (or #SS through the stack segment) where `a` is not a multiple of `c` + 1.
let checkAlignment: Helper = { x, raw in
  let op = raw.op
  let va = x[Int(op.a)]
  guard va & UInt64(op.c) != 0 else { return }
  X64.raise(x, 13)
}

/// The first step of STMXCSR.
let readControl: Helper = { x, raw in x[Int(raw.op.d)] = x[Registers.mxcsr] }

/// LDMXCSR.
///
/// - SeeAlso: Intel SDM volume 2, 'LDMXCSR - Load MXCSR Register'.
let loadControl: Helper = { x, raw in
  let value = x[Int(raw.op.a)] & 0xffff_ffff
  guard value & ~0xffff == 0 else { return X64.raise(x, 13) }
  x[Registers.mxcsr] = value
}
