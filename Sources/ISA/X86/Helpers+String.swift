import Engine

/// Which string instruction, and the bits of a string helper's `e` beside the element's size.
enum StringOp: UInt8 {
  case movs, cmps, stos, lods, scas, ins, outs

  static let rep: UInt8 = 0x10
  static let repne: UInt8 = 0x20
  /// 32-bit addresses and count.
  static let short: UInt8 = 0x40
  /// One iteration at a time.
  static let stepping: UInt8 = 0x80
  /// Bits of `c`: 16- or 32-bit code, where `a` is the number of the source's segment; addresses and
  /// count of 16 bits.
  static let legacy: UInt8 = 0x10
  static let narrow: UInt8 = 0x20
  /// Bits of `c` that say which it is.
  static let kind: UInt8 = 0xf
  /// Most iterations that count as one instruction: a repeat that goes on is begun again, so that
  /// neither an interrupt nor a budget waits for long.
  static let chunk = 4096

  /// What of addresses and the count counts.
  @inline(__always)
  static func addressMask(_ op: MicroOp) -> UInt64 {
    op.e & short == 0 ? .max : op.c & narrow == 0 ? 0xffff_ffff : 0xffff
  }

  /// Sets a register as far as `mask` says: of a register of 16 bits the rest stays.
  @inline(__always)
  static func set(
    _ x: UnsafeMutablePointer<UInt64>, _ register: Int, _ value: UInt64, _ mask: UInt64
  ) {
    x[register] = mask == 0xffff ? x[register] & ~0xffff | value & 0xffff : value & mask
  }
}

/// One string instruction: `a` the slot of the source's segment base, `c` a ``StringOp``; `d` gets
/// this instruction's own pc where iterations remain.
///
/// - SeeAlso: Intel SDM volume 2, 'REP/REPE/REPZ/REPNE/REPNZ - Repeat String Operation Prefix'.
let stringOperation: Helper = { x, raw in
  let op = raw.op
  let repeats = op.e & (StringOp.rep | StringOp.repne) != 0
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let width = StringOp.addressMask(op)
    let kind = StringOp(rawValue: op.c & StringOp.kind) ?? .movs
    if kind == .ins || kind == .outs {
      let port = UInt16(truncatingIfNeeded: x[Int(Lift.rdx)])
      guard mayUsePort(x, port, UInt64(op.e & 15)) else { return }
      let count = x[Int(Lift.rcx)] & width
      guard repeats && count == 0 || notesPort(x, port, UInt64(op.e & 15)) else { return }
    }
    let rcx = Int(Lift.rcx)
    guard repeats else {
      _ = iterate(hart, op, kind)
      return
    }
    var left = op.e & StringOp.stepping != 0 ? 1 : StringOp.chunk
    while left > 0 {
      let count = x[rcx] & width
      if count == 0 { return }
      let several = atOnce(hart, op, kind, Int(clamping: min(count, UInt64(left))))
      if several > 0 {
        x[rcx] &-= UInt64(several)
        if x[rcx] == 0 { return }
        left -= several
        continue
      }
      left -= 1
      guard iterate(hart, op, kind) else { return }
      StringOp.set(x, rcx, count &- 1, width)
      if kind == .cmps || kind == .scas {
        let equal = x[Slot.flagA] == x[Slot.flagB]
        if equal != (op.e & StringOp.rep != 0) { return }
      }
      if x[rcx] & width == 0 { return }
      // A store to this very block must be seen before the next iteration.
      if x[Slot.pending] != 0 {
        x[SystemSlot.repeated] = hart.count &+ 1
        hart.raise(X64.restart, x[Slot.pending])
        return
      }
      if x[SystemSlot.debugHits] != 0 { break }
    }
    x[Int(op.d)] = hart.pc
    x[SystemSlot.repeated] = hart.count &+ 2
  }
}

/// Iterations of MOVS or STOS upwards whose bytes lie in pages that the TLB knows, as compiled code
/// would do them: nothing can happen between them.
///
/// - Returns: how many of `most` were done, the count aside; zero where it must be done one by one.
private func atOnce(_ hart: Hart, _ op: MicroOp, _ kind: StringOp, _ most: Int) -> Int {
  let x = hart.x
  guard most > 1, kind == .movs || kind == .stos, op.c & StringOp.legacy == 0,
    StringOp.addressMask(op) == .max, x[Registers.otherFlags] & RFlags.direction == 0
  else { return 0 }
  let size = Int(op.e & 15)
  let (rsi, rdi) = (Int(Lift.rsi), Int(Lift.rdi))
  func room(_ va: UInt64) -> Int { Int(4096 &- (va & 4095)) / size }
  var count = min(most, room(x[rdi]))
  if kind == .stos {
    guard count > 1, let to = hart.hostBytes(x[rdi], count * size, writing: true) else { return 0 }
    let value = x[Int(Lift.rax)]
    for at in stride(from: 0, to: count * size, by: size) {
      switch size {
      case 1: to.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: at, as: UInt8.self)
      case 2:
        to.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: at, as: UInt16.self)
      case 4:
        to.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: at, as: UInt32.self)
      default: to.storeBytes(of: value, toByteOffset: at, as: UInt64.self)
      }
    }
  } else {
    let source = x[rsi] &+ x[Int(op.a)]
    count = min(count, room(source))
    guard count > 1, let from = hart.hostBytes(source, count * size, writing: false),
      let to = hart.hostBytes(x[rdi], count * size, writing: true)
    else { return 0 }
    if to > from, to < from + count * size {
      // What is stored is loaded again.
      for index in 0..<count {
        (to + index * size).copyMemory(from: from + index * size, byteCount: size)
      }
    } else {
      to.copyMemory(from: from, byteCount: count * size)
    }
    x[rsi] &+= UInt64(count * size)
  }
  x[rdi] &+= UInt64(count * size)
  return count
}

/// - Returns: whether it completed.
private func iterate(_ hart: Hart, _ op: MicroOp, _ kind: StringOp) -> Bool {
  let x = hart.x
  let size = UInt64(op.e & 15)
  let width = StringOp.addressMask(op)
  let down = x[Registers.otherFlags] & RFlags.direction != 0
  let step = down ? 0 &- size : size
  let rsi = Int(Lift.rsi)
  let rdi = Int(Lift.rdi)
  let rax = Int(Lift.rax)
  var source = x[rsi] & width
  var destination = x[rdi] & width
  let shift = 64 &- size &* 8
  func failed() -> Bool { x[Slot.pending] == Pending.exception.rawValue }
  func advance(_ register: Int) { StringOp.set(x, register, x[register] &+ step, width) }
  func compare(_ a: UInt64, _ b: UInt64) {
    x[Slot.flagKind] = UInt64(FlagKind.with(FlagKind.subtract, size: UInt8(size)))
    x[Slot.flagA] = a &<< shift
    x[Slot.flagB] = b &<< shift
  }
  if op.c & StringOp.legacy == 0 {
    source &+= x[Int(op.a)]
  } else {
    let stores = [.movs, .stos, .ins].contains(kind)
    if [.movs, .cmps, .lods, .outs].contains(kind) {
      guard let address = X64.linear(Int(op.a), source, size, store: false, x) else { return false }
      source = address
    }
    if kind != .lods, kind != .outs {
      guard
        let address = X64.linear(SegmentRegister.es, destination, size, store: stores, x)
      else { return false }
      destination = address
    }
  }
  switch kind {
  case .movs:
    let value = hart.observedLoad(source, size)
    if failed() { return false }
    hart.observedStore(destination, size, value)
    if failed() { return false }
    advance(rsi)
    advance(rdi)
  case .cmps:
    // Processors differ in which they read first.
    let b = hart.observedLoad(destination, size)
    if failed() { return false }
    let a = hart.observedLoad(source, size)
    if failed() { return false }
    compare(a, b)
    advance(rsi)
    advance(rdi)
  case .stos:
    hart.observedStore(destination, size, x[rax])
    if failed() { return false }
    advance(rdi)
  case .lods:
    let value = hart.observedLoad(source, size)
    if failed() { return false }
    put(x, rax, value, UInt8(size))
    advance(rsi)
  case .scas:
    let b = hart.observedLoad(destination, size)
    if failed() { return false }
    compare(x[rax], b)
    advance(rdi)
  case .ins:
    // The port is read only where the result can be stored.
    _ = hart.loadForModify(destination, size)
    if failed() { return false }
    hart.observedStore(
      destination, size, readPort(hart, UInt16(truncatingIfNeeded: x[Int(Lift.rdx)]), size))
    advance(rdi)
  case .outs:
    let value = hart.observedLoad(source, size)
    if failed() { return false }
    writePort(hart, UInt16(truncatingIfNeeded: x[Int(Lift.rdx)]), size, value)
    advance(rsi)
  }
  return true
}
