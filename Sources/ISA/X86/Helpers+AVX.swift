import Engine

// What AVX, AVX2 and FMA have beyond operations that SSE has too.

/// Lane by lane.
enum LaneHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .broadcastb: { x, r in broadcast(x, r, B16.self) }
    case .broadcastw: { x, r in broadcast(x, r, H8.self) }
    case .broadcastd: { x, r in broadcast(x, r, D4.self) }
    case .broadcastq: { x, r in broadcast(x, r, Q2.self) }
    case .broadcastdq:
      { x, r in
        let b = getVector(x, Int(r.op.b), Q2.self)
        binary(x, r, Q2.self) { _, _ in b }
      }
    case .perm2f128: permuteHalves
    case .insertf128:
      { x, r in
        let op = r.op
        let part = getVector(x, Int(op.b), Q2.self)
        let other = getVector(x, Int(op.a) &+ (op.c & 1 == 0 ? 2 : 0), Q2.self)
        setVector(x, Int(op.d) &+ (op.c & 1 == 0 ? 0 : 2), part)
        setVector(x, Int(op.d) &+ (op.c & 1 == 0 ? 2 : 0), other)
      }
    case .permilps:
      { x, r in
        binary(x, r, D4.self) { a, b in
          D4(a[Int(b[0] & 3)], a[Int(b[1] & 3)], a[Int(b[2] & 3)], a[Int(b[3] & 3)])
        }
      }
    case .permilps_i: { x, r in shuffle(x, r, D4.self, from: 0) }
    case .permilpd:
      { x, r in binary(x, r, Q2.self) { a, b in Q2(a[Int(b[0] &>> 1 & 1)], a[Int(b[1] &>> 1 & 1)]) }
      }
    case .permilpd_i:
      { x, r in
        var c = Int(r.op.c)
        unary(x, r, Q2.self) { b in
          defer { c &>>= 2 }
          return Q2(b[c & 1], b[c &>> 1 & 1])
        }
      }
    case .permd:
      { x, r in
        let op = r.op
        let index = getVector(x, Int(op.a), SIMD8<UInt32>.self)
        let from = getVector(x, Int(op.b), SIMD8<UInt32>.self)
        var result = SIMD8<UInt32>()
        for lane in 0..<8 { result[lane] = from[Int(index[lane] & 7)] }
        setVector(x, Int(op.d), result)
      }
    case .permq:
      { x, r in
        let op = r.op
        let from = getVector(x, Int(op.b), SIMD4<UInt64>.self)
        var result = from
        for lane in 0..<4 { result[lane] = from[Int(op.c) &>> (lane &* 2) & 3] }
        setVector(x, Int(op.d), result)
      }
    case .sllv: { x, r in each(x, r, D4.self) { $0 << min($1, 32) } }
    case .sllvq: { x, r in each(x, r, Q2.self) { $0 << min($1, 64) } }
    case .srlv: { x, r in each(x, r, D4.self) { $0 >> min($1, 32) } }
    case .srlvq: { x, r in each(x, r, Q2.self) { $0 >> min($1, 64) } }
    case .srav:
      { x, r in
        each(x, r, SD4.self) { $0 >> Int32(truncatingIfNeeded: min(UInt32(bitPattern: $1), 31)) }
      }
    default: nil
    }
  }
}

@inline(__always)
private func broadcast<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _: V.Type
) {
  let b = V(repeating: getVector(x, Int(r.op.b), V.self)[0])
  binary(x, r, V.self) { _, _ in b }
}

/// - SeeAlso: Intel SDM volume 2, 'VPERM2F128 - Permute Floating-Point Values'.
private let permuteHalves: Helper = { x, r in
  let op = r.op
  func half(_ control: UInt8) -> Q2 {
    if control & 8 != 0 { return Q2() }
    return getVector(
      x, Int(control & 2 == 0 ? op.a : op.b) &+ (control & 1 == 0 ? 0 : 2), Q2.self)
  }
  let (low, high) = (half(op.c), half(op.c &>> 4))
  setVector(x, Int(op.d), low)
  setVector(x, Int(op.d) &+ 2, high)
}

/// VZEROUPPER, VZEROALL: words from `c` on.
let zeroVectors: Helper = { x, r in
  for number in 0..<16 {
    for word in Int(r.op.c)..<4 { x[Registers.vector &+ number &* 4 &+ word] = 0 }
  }
}

/// Fused multiplication and addition: `d`, `a` and `b` are the operands, `c` the order.
enum FusedHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .fmaddp: { x, r in fused(x, r, packed: true, 0, 0) }
    case .fmadds: { x, r in fused(x, r, packed: false, 0, 0) }
    case .fmsubp: { x, r in fused(x, r, packed: true, 2, 2) }
    case .fmsubs: { x, r in fused(x, r, packed: false, 2, 2) }
    case .fnmaddp: { x, r in fused(x, r, packed: true, 1, 1) }
    case .fnmadds: { x, r in fused(x, r, packed: false, 1, 1) }
    case .fnmsubp: { x, r in fused(x, r, packed: true, 3, 3) }
    case .fnmsubs: { x, r in fused(x, r, packed: false, 3, 3) }
    case .fmaddsubp: { x, r in fused(x, r, packed: true, 2, 0) }
    case .fmsubaddp: { x, r in fused(x, r, packed: true, 0, 2) }
    default: nil
    }
  }
}

/// What is negated in even and in odd lanes.
@inline(__always)
private func fused(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, packed: Bool, _ even: UInt8, _ odd: UInt8
) {
  let op = r.op
  let double = op.e & VectorFlags.wide64 != 0
  var float = SSEFloat(x)
  var words = SIMD4<UInt64>(x[Int(op.d)], x[Int(op.d) &+ 1], 0, 0)
  let lanes = packed ? (double ? 2 : 4) &* (1 &+ Int(op.e & 1)) : 1
  func lane(_ slot: UInt8, _ index: Int) -> UInt64 {
    element(x, Int(slot), index, double ? 8 : 4)
  }
  for index in 0..<lanes {
    let (first, second, third) = (lane(op.d, index), lane(op.a, index), lane(op.b, index))
    let negated = index & 1 == 0 ? even : odd
    let value =
      switch op.c {
      case 0: float.fused(first, third, second, double, negated: negated)
      case 1: float.fused(second, first, third, double, negated: negated)
      default: float.fused(second, third, first, double, negated: negated)
      }
    if double {
      words[index] = value
    } else {
      let shift = UInt64(index % 2 &* 32)
      words[index / 2] = words[index / 2] & ~(0xffff_ffff &<< shift) | value &<< shift
    }
  }
  guard float.finish(x) else { return }
  setVector(x, Int(op.d), words.lowHalf)
  if op.e & 1 != 0 { setVector(x, Int(op.d) &+ 2, words.highHalf) }
}

/// Whether an element begins in canonical addresses and ends beyond: like an operand, it faults before
/// any table is looked at.
private func crossesEdge(
  _ va: UInt64, _ size: Int, _ x: UnsafeMutablePointer<UInt64>
) -> Bool {
  guard X64.isCanonical(va, x), !X64.isCanonical(va &+ UInt64(size - 1), x) else { return false }
  X64.raise(x, x[SystemSlot.stackAccess] != 0 ? 12 : 13)
  return true
}

/// VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU: `a` the mask, `b` the address's slot, `d` the other
/// register; `c` bytes of an element; bit 0 of `e`: 256 bits, bit 1: a store, bit 2: through the stack
/// segment, bit 3: 64 bits.
///
/// Elements whose mask is clear are not accessed, and none is stored where one of them faults.
///
/// - SeeAlso: Intel SDM volume 2, 'VMASKMOV - Conditional SIMD Packed Loads and Stores' and
///   'MASKMOVQ - Store Selected Bytes of Quadword'.
let moveMasked: Helper = { x, r in
  let op = r.op
  let size = Int(op.c)
  let count = (op.e & 8 != 0 ? 8 : op.e & 1 == 0 ? 16 : 32) / size
  func isChosen(_ index: Int) -> Bool {
    element(x, Int(op.a), index, size) &>> UInt64(size &* 8 &- 1) != 0
  }
  let stores = op.e & 2 != 0
  var words = SIMD4<UInt64>()
  x[SystemSlot.stackAccess] = UInt64(op.e &>> 2 & 1)
  defer { x[SystemSlot.stackAccess] = 0 }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    for pass in 0..<(stores ? 2 : 1) {
      for index in 0..<count where isChosen(index) {
        let va = x[Int(op.b)] &+ UInt64(index &* size)
        if crossesEdge(va, size, x) { return }
        if !stores {
          let value = hart.observedLoad(va, UInt64(size))
          words[index &* size / 8] |= value &<< UInt64(index &* size % 8 &* 8)
        } else if pass == 0 {
          _ = hart.loadForModify(va, UInt64(size))
        } else {
          hart.observedStore(va, UInt64(size), element(x, Int(op.d), index, size))
        }
        if x[Slot.pending] == Pending.exception.rawValue { return }
      }
    }
  }
  if stores || x[Slot.pending] == Pending.exception.rawValue { return }
  setVector(x, Int(op.d), words)
}

/// Gathers.
///
/// `d` is the destination, `a` the mask, `b` the indices; `c` says bytes of an element, and from bit
/// 4 on of an index. Of `e` bit 0: 256 bits, bit 1: 32-bit addresses, bit 2: through the stack segment,
/// from bit 4 on the scale. `Lift.T.address` is the base, `Lift.T.w` that of the segment.
///
/// What was gathered before a fault stays, and its mask is clear.
///
/// - SeeAlso: Intel SDM volume 2, 'VGATHERDPD/VGATHERQPD - Gather Packed Double Precision
///   Floating-Point Values Using Signed Dword/Qword Indices'.
let gatherElements: Helper = { x, r in
  let op = r.op
  let size = Int(op.c & 15)
  let indexSize = Int(op.c &>> 4)
  let count = (op.e & 1 == 0 ? 16 : 32) / max(size, indexSize)
  func setPart(_ slot: UInt8, _ index: Int, _ value: UInt64) {
    let at = Int(slot) &+ index &* size / 8
    let shift = UInt64(index &* size % 8 &* 8)
    x[at] = x[at] & ~(mask(UInt8(size)) &<< shift) | value &<< shift
  }
  x[SystemSlot.stackAccess] = UInt64(op.e &>> 2 & 1)
  defer { x[SystemSlot.stackAccess] = 0 }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    for index in 0..<count {
      let isWanted = element(x, Int(op.a), index, size) &>> UInt64(size &* 8 &- 1) != 0
      setPart(op.a, index, isWanted ? .max & mask(UInt8(size)) : 0)
    }
    for index in 0..<count where element(x, Int(op.a), index, size) != 0 {
      let offset = signed(element(x, Int(op.b), index, indexSize), UInt8(indexSize))
      let short = op.e & 2 != 0
      let va = x[Int(Lift.T.address)] &+ UInt64(bitPattern: offset) &<< UInt64(op.e &>> 4)
      let at = (short ? va & 0xffff_ffff : va) &+ x[Int(Lift.T.w)]
      if crossesEdge(at, size, x) { return }
      let value = hart.observedLoad(at, UInt64(size))
      if x[Slot.pending] == Pending.exception.rawValue { return }
      setPart(op.d, index, value)
      setPart(op.a, index, 0)
    }
  }
  if x[Slot.pending] == Pending.exception.rawValue { return }
  for word in 0..<4 {
    x[Int(op.a) &+ word] = 0
    if word &* 8 >= count &* size { x[Int(op.d) &+ word] = 0 }
  }
}
