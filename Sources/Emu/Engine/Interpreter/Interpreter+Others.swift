/// Micro-ops that RISC-V's lift does not make: 32-bit results with a zero upper half, condition codes,
/// parts of registers, indexed and 16-byte accesses; in line in the loop of instruction sets that have
/// them (``OpSet``), called in the other.
///
/// - Returns: whether the block must be left.
@inline(never)
func others(
  _ x: UnsafeMutablePointer<UInt64>, _ tlb: UnsafeMutablePointer<TLBEntry>,
  _ block: UnsafeMutablePointer<Block>, _ ip: UnsafeMutablePointer<MicroOp>, _ left: Int64
) -> Bool {
  perform(x, tlb, block, ip, left)
}

/// - Returns: whether the block must be left.
@_transparent
func perform(
  _ x: UnsafeMutablePointer<UInt64>, _ tlb: UnsafeMutablePointer<TLBEntry>,
  _ block: UnsafeMutablePointer<Block>, _ ip: UnsafeMutablePointer<MicroOp>, _ left: Int64
) -> Bool {
  let op = ip
  let d = Int(op.pointee.d)
  let a = Int(op.pointee.a)
  let b = Int(op.pointee.b)
  let imm = UInt64(bitPattern: op.pointee.imm)
  switch op.pointee.op {
  case .zext32: x[d] = UInt64(word(x[a]))
  case .add32: x[d] = UInt64(word(x[a] &+ x[b]))
  case .addi32: x[d] = UInt64(word(x[a] &+ imm))
  case .sub32: x[d] = UInt64(word(x[a] &- x[b]))
  case .and32: x[d] = UInt64(word(x[a] & x[b]))
  case .or32: x[d] = UInt64(word(x[a] | x[b]))
  case .ori32: x[d] = UInt64(word(x[a] | imm))
  case .xor32: x[d] = UInt64(word(x[a] ^ x[b]))
  case .xori32: x[d] = UInt64(word(x[a] ^ imm))
  case .mul32: x[d] = UInt64(word(x[a]) &* word(x[b]))
  case .shl32i: x[d] = UInt64(word(x[a]) &<< word(imm))
  case .shr32i: x[d] = UInt64(word(x[a]) &>> word(imm))
  case .sar32i:
    let shifted = Int32(bitPattern: word(x[a])) &>> Int32(bitPattern: word(imm))
    x[d] = UInt64(UInt32(bitPattern: shifted))
  case .rol32i: x[d] = UInt64(word(x[a]) &<< word(imm) | word(x[a]) &>> (0 &- word(imm)))
  case .ins8: insert(x, d, x[a], 0xff)
  case .ins8h: insert(x, d, x[a] &<< 8, 0xff00)
  case .ins16: insert(x, d, x[a], 0xffff)
  case .ins32: insert(x, d, x[a], 0xffff_ffff)
  case .ext8h: x[d] = (x[a] &>> 8) & 0xff
  case .movnz: if x[b] != 0 { x[d] = x[a] }
  case .movz: if x[b] == 0 { x[d] = x[a] }
  case .cadd: add(x, op, x[a], x[b])
  case .caddi: add(x, op, x[a], imm)
  case .csub: subtract(x, op, x[a], x[b])
  case .csubi: subtract(x, op, x[a], imm)
  case .cand: logic(x, op, x[a] & x[b])
  case .candi: logic(x, op, x[a] & imm)
  case .cor: logic(x, op, x[a] | x[b])
  case .cori: logic(x, op, x[a] | imm)
  case .cxor: logic(x, op, x[a] ^ x[b])
  case .cxori: logic(x, op, x[a] ^ imm)
  case .cadc: StatusFlags.addWithCarry(x, op.pointee)
  case .csbb: StatusFlags.subtractWithBorrow(x, op.pointee)
  case .cinc: StatusFlags.increment(x, op.pointee)
  case .cdec: StatusFlags.decrement(x, op.pointee)
  case .cmul: StatusFlags.multiply(x, op.pointee)
  case .ccmp: compare(x, op, x[a], x[b])
  case .ccmpi: compare(x, op, x[a], imm)
  case .ctest: compare(x, op, x[a] & x[b], 0)
  case .ctesti: compare(x, op, x[a] & imm, 0)
  case .cshli: StatusFlags.shiftLeft(x, op.pointee)
  case .cshri: StatusFlags.shiftRight(x, op.pointee)
  case .csari: StatusFlags.shiftRightSigned(x, op.pointee)
  case .flags: x[d] = StatusFlags.packed(x)
  case .setFlags:
    x[Slot.flagKind] = FlagKind.packed
    x[Slot.flagA] = x[a] & StatusFlags.all
    x[Slot.flagB] = 0
  case .setcc: x[d] = StatusFlags.holds(x, op.pointee.c) ? 1 : 0
  case .ldm8u: if modify(UInt8.self, x, tlb, x[a] &+ imm, block, ip, left) { return true }
  case .ldm16u: if modify(UInt16.self, x, tlb, x[a] &+ imm, block, ip, left) { return true }
  case .ldm32u: if modify(UInt32.self, x, tlb, x[a] &+ imm, block, ip, left) { return true }
  case .ldm64: if modify(UInt64.self, x, tlb, x[a] &+ imm, block, ip, left) { return true }
  case .ldx8u:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if load(UInt8.self, x, tlb, va, block, ip, left) { return true }
  case .ldx32u:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if load(UInt32.self, x, tlb, va, block, ip, left) { return true }
  case .ldx64:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if load(UInt64.self, x, tlb, va, block, ip, left) { return true }
  case .stx8:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if store(UInt8.self, x, tlb, va, x[d], block, ip, left) { return true }
  case .stx32:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if store(UInt32.self, x, tlb, va, x[d], block, ip, left) { return true }
  case .stx64:
    let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm
    if store(UInt64.self, x, tlb, va, x[d], block, ip, left) { return true }
  case .ldv:
    let va = x[a] &+ imm
    if let from = readable(tlb, va, 16) {
      let low = from.loadUnaligned(as: UInt64.self)
      x[d + 1] = from.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      x[d] = low
    } else {
      spill(x, block, ip, left)
      if loadPair(x, va, d) { return true }
    }
  case .stv:
    let va = x[a] &+ imm
    if let to = writable(tlb, va, 16) {
      to.storeBytes(of: x[b], as: UInt64.self)
      to.storeBytes(of: x[b + 1], toByteOffset: 8, as: UInt64.self)
    } else {
      spill(x, block, ip, left)
      if storePair(x, va, b) { return true }
    }
  case .movv:
    let low = x[a]
    x[d + 1] = x[a + 1]
    x[d] = low
  case .slliXor:
    let c = Int(op.pointee.c)
    x[c] = x[a] &<< UInt64(op.pointee.e)
    x[d] = x[c] ^ x[b]
  case .keepSlli:
    x[FlagDeferral.kept] = x[a]
    x[d] = x[a] &<< imm
  case .keepSrli:
    x[FlagDeferral.kept] = x[a]
    x[d] = x[a] &>> imm
  case .keepSrai:
    x[FlagDeferral.kept] = x[a]
    x[d] = unsigned(signed(x[a]) &>> signed(imm))
  case .keepShl32i:
    x[FlagDeferral.kept] = x[a]
    x[d] = UInt64(word(x[a]) &<< word(imm))
  case .keepShr32i:
    x[FlagDeferral.kept] = x[a]
    x[d] = UInt64(word(x[a]) &>> word(imm))
  case .keepSar32i:
    x[FlagDeferral.kept] = x[a]
    let shifted = Int32(bitPattern: word(x[a])) &>> Int32(bitPattern: word(imm))
    x[d] = UInt64(UInt32(bitPattern: shifted))
  case .keepMul:
    x[FlagDeferral.kept] = x[a]
    x[d] = x[a] &* x[b]
  case .keepMul32:
    x[FlagDeferral.kept] = x[a]
    x[d] = UInt64(word(x[a]) &* word(x[b]))
  case .canonical:
    if _slowPath((x[a] &+ 0x8000_0000_0000) &>> 48 != 0) {
      return callHelper(x, block, ip, left)
    }
  case .aligned:
    if _slowPath(x[a] & UInt64(op.pointee.c) != 0) { return callHelper(x, block, ip, left) }
  case .vadd64:
    let result = (Double(bitPattern: x[a]) + Double(bitPattern: x[b])).bitPattern
    if _fastPath(HostVector.allows(x, op.pointee.e, x[a], x[b]) && isFinite(result)) {
      x[d] = result
    } else if callHelper(x, block, ip, left) {
      return true
    }
  case .vsub64:
    let result = (Double(bitPattern: x[a]) - Double(bitPattern: x[b])).bitPattern
    if _fastPath(HostVector.allows(x, op.pointee.e, x[a], x[b]) && isFinite(result)) {
      x[d] = result
    } else if callHelper(x, block, ip, left) {
      return true
    }
  case .vmul64:
    let result = (Double(bitPattern: x[a]) * Double(bitPattern: x[b])).bitPattern
    if _fastPath(HostVector.allows(x, op.pointee.e, x[a], x[b]) && isNormal(result)) {
      x[d] = result
    } else if callHelper(x, block, ip, left) {
      return true
    }
  case .vdiv64:
    let result = (Double(bitPattern: x[a]) / Double(bitPattern: x[b])).bitPattern
    if _fastPath(HostVector.allows(x, op.pointee.e, x[a], x[b]) && isNormal(result)) {
      x[d] = result
    } else if callHelper(x, block, ip, left) {
      return true
    }
  case .vsqrt64:
    let result = Double(bitPattern: x[b]).squareRoot().bitPattern
    if _fastPath(HostVector.allows(x, op.pointee.e, x[b], x[b]) && isNormal(result)) {
      x[d] = result
    } else if callHelper(x, block, ip, left) {
      return true
    }
  default: preconditionFailure("a micro-op that the interpreter does itself")
  }
  return false
}

/// Replaces the bits of a mask.
///
/// The mask is more than the compiler may know: a store of a part, which it would make of it, delays the
/// load of the whole that follows.
@inline(__always)
private func insert(
  _ x: UnsafeMutablePointer<UInt64>, _ d: Int, _ value: UInt64, _ mask: UInt64
) {
  let mask = mask | x[Slot.zero]
  x[d] = x[d] & ~mask | value & mask
}

/// When the host's double-precision arithmetic is the guest's, whose control register is x86's.
enum HostVector {
  /// Whether only what shows in the result remains.
  ///
  /// Every exception is masked, rounding is to nearest, tiny numbers are what they are, and to be inexact
  /// raises nothing new; neither operand is subnormal.
  @inline(__always)
  static func allows(
    _ x: UnsafeMutablePointer<UInt64>, _ control: UInt8, _ a: UInt64, _ b: UInt64
  ) -> Bool {
    x[Int(control)] & ~0x1f == 0x1fa0 && !isSubnormal(a) && !isSubnormal(b)
  }

  /// Zero counts as none.
  @inline(__always)
  private static func isSubnormal(_ a: UInt64) -> Bool {
    (a & 0x7fff_ffff_ffff_ffff) &- 1 < 0xf_ffff_ffff_ffff
  }
}

/// Calls the helper that the micro-op names.
///
/// - Returns: whether the block must be left.
@inline(never)
private func callHelper(
  _ x: UnsafeMutablePointer<UInt64>, _ block: UnsafeMutablePointer<Block>,
  _ ip: UnsafeMutablePointer<MicroOp>, _ left: Int64
) -> Bool {
  spill(x, block, ip, left)
  unsafeBitCast(Int(truncatingIfNeeded: ip.pointee.imm), to: Helper.self)(
    x, UnsafeRawPointer(ip).assumingMemoryBound(to: MicroOpRaw.self))
  return x[Slot.pending] != 0
}

/// Loads a `T` that is about to be stored to.
///
/// - Returns: whether the block must be left.
@inline(__always)
private func modify<T: FixedWidthInteger & BitwiseCopyable>(
  _: T.Type, _ x: UnsafeMutablePointer<UInt64>, _ tlb: UnsafeMutablePointer<TLBEntry>,
  _ va: UInt64, _ block: UnsafeMutablePointer<Block>, _ ip: UnsafeMutablePointer<MicroOp>,
  _ left: Int64
) -> Bool {
  let size = UInt64(MemoryLayout<T>.size)
  if let from = writable(tlb, va, size) {
    x[Int(ip.pointee.d)] = UInt64(truncatingIfNeeded: from.loadUnaligned(as: T.self))
    return false
  }
  spill(x, block, ip, left)
  return modifySlow(x, va, size, Int(ip.pointee.d))
}

// What sets the condition codes: both operands move to the top of the word, where one comparison
// serves every width.

@inline(__always)
func note(
  _ x: UnsafeMutablePointer<UInt64>, _ kind: UInt8, _ a: UInt64, _ b: UInt64
) {
  x[Slot.flagKind] = UInt64(kind)
  x[Slot.flagA] = a
  x[Slot.flagB] = b
}

@inline(__always)
private func add(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ a: UInt64, _ b: UInt64
) {
  let shift = UInt64(op.pointee.c & FlagKind.shiftMask)
  note(x, op.pointee.c, a &<< shift, b &<< shift)
  x[Int(op.pointee.d)] = ((a &+ b) &<< shift) &>> shift
}

@inline(__always)
private func subtract(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ a: UInt64, _ b: UInt64
) {
  let shift = UInt64(op.pointee.c & FlagKind.shiftMask)
  note(x, op.pointee.c, a &<< shift, b &<< shift)
  x[Int(op.pointee.d)] = ((a &- b) &<< shift) &>> shift
}

/// The flags of a result of bits are those of subtracting zero from it.
@inline(__always)
private func logic(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ result: UInt64
) {
  let shift = UInt64(op.pointee.c & FlagKind.shiftMask)
  note(x, op.pointee.c, result &<< shift, 0)
  x[Int(op.pointee.d)] = (result &<< shift) &>> shift
}

@inline(__always)
private func compare(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ a: UInt64, _ b: UInt64
) {
  let shift = UInt64(op.pointee.c & FlagKind.shiftMask)
  note(x, op.pointee.c, a &<< shift, b &<< shift)
}

/// - Returns: whether the block must be left.
@inline(never)
private func modifySlow(
  _ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ size: UInt64, _ d: Int
) -> Bool {
  let value = Hart.of(x)._withUnsafeGuaranteedRef { $0.loadForModify(va, size) }
  if x[Slot.pending] == Pending.exception.rawValue { return true }
  x[d] = value
  return x[Slot.pending] != 0
}

/// - Returns: whether the block must be left.
@inline(never)
private func loadPair(_ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ d: Int) -> Bool {
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let low = hart.load(va, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    let high = hart.load(va &+ 8, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    x[d] = low
    x[d + 1] = high
  }
  return x[Slot.pending] != 0
}

/// - Returns: whether the block must be left.
@inline(never)
private func storePair(_ x: UnsafeMutablePointer<UInt64>, _ va: UInt64, _ b: Int) -> Bool {
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    _ = hart.loadForModify(va, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    _ = hart.loadForModify(va &+ 8, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    hart.store(va, 8, x[b])
    hart.store(va &+ 8, 8, x[b + 1])
  }
  return x[Slot.pending] != 0
}
