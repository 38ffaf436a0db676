import Engine

/// The lanes of an operand: so many, so wide.
enum LaneShape {
  case packedSingle, packedDouble, single, double

  var isDouble: Bool { self == .packedDouble || self == .double }
  var isPacked: Bool { self == .packedSingle || self == .packedDouble }
}

/// `d` = `f(a, b)` on the lanes; of a scalar operation the rest is `a`'s.
@inline(__always)
func floats(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape,
  _ f: (inout SSEFloat, UInt64, UInt64, Int) -> UInt64
) {
  let op = r.op
  var float = SSEFloat(x)
  var result = (Q2(), Q2())
  let halves = shape.isPacked ? 1 &+ Int(op.e & 1) : 1
  for half in 0..<halves {
    let at = half &* 2
    let a = getVector(x, Int(op.a) &+ at, Q2.self)
    let b = getVector(x, Int(op.b) &+ at, Q2.self)
    var out = a
    if shape.isDouble {
      for index in 0..<(shape.isPacked ? 2 : 1) {
        out[index] = f(&float, a[index], b[index], at &+ index)
      }
    } else {
      let a4 = unsafeBitCast(a, to: D4.self)
      let b4 = unsafeBitCast(b, to: D4.self)
      var out4 = a4
      for index in 0..<(shape.isPacked ? 4 : 1) {
        out4[index] = UInt32(
          truncatingIfNeeded: f(
            &float, UInt64(a4[index]), UInt64(b4[index]), at &* 2 &+ index))
      }
      out = unsafeBitCast(out4, to: Q2.self)
    }
    if half == 0 { result.0 = out } else { result.1 = out }
  }
  guard float.finish(x) else { return }
  setVector(x, Int(op.d), result.0)
  if halves == 2 { setVector(x, Int(op.d) &+ 2, result.1) }
}

@inline(__always)
private func arithmetic(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape, _ what: SSEFloat.Arithmetic
) {
  floats(x, r, shape) { float, a, b, _ in float.arithmetic(what, a, b, shape.isDouble) }
}

@inline(__always)
private func roots(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape) {
  floats(x, r, shape) { float, _, b, _ in float.squareRoot(b, shape.isDouble) }
}

@inline(__always)
private func compares(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape) {
  let c = r.op.c & 0x1f
  floats(x, r, shape) { float, a, b, _ in
    float.predicate(c, a, b, shape.isDouble) ? ~0 : 0
  }
}

@inline(__always)
private func rounds(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape) {
  let c = r.op.c
  floats(x, r, shape) { float, _, b, _ in float.round(b, shape.isDouble, c) }
}

/// COMISS and its like: only flags.
///
/// - SeeAlso: Intel SDM volume 2, 'UCOMISS - Unordered Compare Scalar Single Precision
///   Floating-Point Values and Set EFLAGS'.
@inline(__always)
private func compareToFlags(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, double: Bool, signals: Bool
) {
  let op = r.op
  var float = SSEFloat(x)
  let keep: UInt64 = double ? .max : 0xffff_ffff
  let order = float.order(
    x[Int(op.a)] & keep, x[Int(op.b)] & keep, double, signals: signals)
  guard float.finish(x) else { return }
  switch order {
  case .unordered:
    StatusFlags.set(x, StatusFlags.zero | StatusFlags.parity | StatusFlags.carry)
  case .less: StatusFlags.set(x, StatusFlags.carry)
  case .equal: StatusFlags.set(x, StatusFlags.zero)
  case .greater: StatusFlags.set(x, 0)
  }
}

/// Neighbours are added or subtracted.
@inline(__always)
private func neighbours(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, double: Bool, _ what: SSEFloat.Arithmetic
) {
  let op = r.op
  var float = SSEFloat(x)
  var result = (Q2(), Q2())
  for half in 0...Int(op.e & 1) {
    let a = getVector(x, Int(op.a) &+ half &* 2, D4.self)
    let b = getVector(x, Int(op.b) &+ half &* 2, D4.self)
    var out = Q2()
    if double {
      let a = unsafeBitCast(a, to: Q2.self)
      let b = unsafeBitCast(b, to: Q2.self)
      out[0] = float.arithmetic(what, a[0], a[1], true)
      out[1] = float.arithmetic(what, b[0], b[1], true)
    } else {
      let pairs = [(a[0], a[1]), (a[2], a[3]), (b[0], b[1]), (b[2], b[3])]
      var four = D4()
      for (index, pair) in pairs.enumerated() {
        four[index] = UInt32(
          truncatingIfNeeded: float.arithmetic(what, UInt64(pair.0), UInt64(pair.1), false))
      }
      out = unsafeBitCast(four, to: Q2.self)
    }
    if half == 0 { result.0 = out } else { result.1 = out }
  }
  guard float.finish(x) else { return }
  setVector(x, Int(op.d), result.0)
  if op.e & 1 == 1 { setVector(x, Int(op.d) &+ 2, result.1) }
}

/// DPPS and DPPD.
///
/// - SeeAlso: Intel SDM volume 2, 'DPPS - Dot Product of Packed Single Precision Floating-Point
///   Values'.
@inline(__always)
private func dotProduct(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, double: Bool) {
  let op = r.op
  var float = SSEFloat(x)
  let lanes = double ? 2 : 4
  let size = double ? 8 : 4
  let halves = 1 &+ Int(op.e & 1)
  // Both halves of 256 bits take every step together; every step raises its own exceptions.
  var terms = SIMD8<UInt64>()
  for half in 0..<halves {
    for index in 0..<lanes where op.c &>> UInt8(4 &+ index) & 1 != 0 {
      let a = element(x, Int(op.a) &+ half &* 2, index, size)
      let b = element(x, Int(op.b) &+ half &* 2, index, size)
      terms[half &* 4 &+ index] = float.arithmetic(.mul, a, b, double)
    }
  }
  var width = lanes
  while width > 1, float.endStep() {
    width /= 2
    for half in 0..<halves {
      for index in 0..<width {
        let at = half &* 4 &+ index
        let from = half &* 4 &+ index &* 2
        terms[at] = float.arithmetic(.add, terms[from], terms[from &+ 1], double)
      }
    }
  }
  guard float.finish(x) else { return }
  for half in 0..<halves {
    let sum = terms[half &* 4]
    func at(_ index: Int) -> UInt64 { op.c &>> UInt8(index) & 1 != 0 ? sum : 0 }
    let d = Int(op.d) &+ half &* 2
    x[d] = double ? at(0) : at(0) | at(1) &<< 32
    x[d &+ 1] = double ? at(1) : at(2) | at(3) &<< 32
  }
}

@inline(__always)
private func approximates(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ shape: LaneShape, root: Bool
) {
  floats(x, r, shape) { _, _, b, _ in
    UInt64(SSEFloat.approximate(UInt32(truncatingIfNeeded: b), root: root))
  }
}

enum FloatHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .addps: { x, r in arithmetic(x, r, .packedSingle, .add) }
    case .addpd: { x, r in arithmetic(x, r, .packedDouble, .add) }
    case .addss: { x, r in arithmetic(x, r, .single, .add) }
    case .addsd: { x, r in arithmetic(x, r, .double, .add) }
    case .subps: { x, r in arithmetic(x, r, .packedSingle, .sub) }
    case .subpd: { x, r in arithmetic(x, r, .packedDouble, .sub) }
    case .subss: { x, r in arithmetic(x, r, .single, .sub) }
    case .subsd: { x, r in arithmetic(x, r, .double, .sub) }
    case .mulps: { x, r in arithmetic(x, r, .packedSingle, .mul) }
    case .mulpd: { x, r in arithmetic(x, r, .packedDouble, .mul) }
    case .mulss: { x, r in arithmetic(x, r, .single, .mul) }
    case .mulsd: { x, r in arithmetic(x, r, .double, .mul) }
    case .divps: { x, r in arithmetic(x, r, .packedSingle, .div) }
    case .divpd: { x, r in arithmetic(x, r, .packedDouble, .div) }
    case .divss: { x, r in arithmetic(x, r, .single, .div) }
    case .divsd: { x, r in arithmetic(x, r, .double, .div) }
    case .minps: { x, r in arithmetic(x, r, .packedSingle, .min) }
    case .minpd: { x, r in arithmetic(x, r, .packedDouble, .min) }
    case .minss: { x, r in arithmetic(x, r, .single, .min) }
    case .minsd: { x, r in arithmetic(x, r, .double, .min) }
    case .maxps: { x, r in arithmetic(x, r, .packedSingle, .max) }
    case .maxpd: { x, r in arithmetic(x, r, .packedDouble, .max) }
    case .maxss: { x, r in arithmetic(x, r, .single, .max) }
    case .maxsd: { x, r in arithmetic(x, r, .double, .max) }
    case .sqrtps: { x, r in roots(x, r, .packedSingle) }
    case .sqrtpd: { x, r in roots(x, r, .packedDouble) }
    case .sqrtss: { x, r in roots(x, r, .single) }
    case .sqrtsd: { x, r in roots(x, r, .double) }
    case .cmpps: { x, r in compares(x, r, .packedSingle) }
    case .cmppd: { x, r in compares(x, r, .packedDouble) }
    case .cmpss: { x, r in compares(x, r, .single) }
    case .cmpsd: { x, r in compares(x, r, .double) }
    case .roundps: { x, r in rounds(x, r, .packedSingle) }
    case .roundpd: { x, r in rounds(x, r, .packedDouble) }
    case .roundss: { x, r in rounds(x, r, .single) }
    case .roundsd: { x, r in rounds(x, r, .double) }
    case .ucomiss: { x, r in compareToFlags(x, r, double: false, signals: false) }
    case .ucomisd: { x, r in compareToFlags(x, r, double: true, signals: false) }
    case .comiss: { x, r in compareToFlags(x, r, double: false, signals: true) }
    case .comisd: { x, r in compareToFlags(x, r, double: true, signals: true) }
    case .addsubps:
      { x, r in
        floats(x, r, .packedSingle) { float, a, b, index in
          float.arithmetic(index & 1 == 0 ? .sub : .add, a, b, false)
        }
      }
    case .addsubpd:
      { x, r in
        floats(x, r, .packedDouble) { float, a, b, index in
          float.arithmetic(index & 1 == 0 ? .sub : .add, a, b, true)
        }
      }
    case .haddps: { x, r in neighbours(x, r, double: false, .add) }
    case .haddpd: { x, r in neighbours(x, r, double: true, .add) }
    case .hsubps: { x, r in neighbours(x, r, double: false, .sub) }
    case .hsubpd: { x, r in neighbours(x, r, double: true, .sub) }
    case .rcpps: { x, r in approximates(x, r, .packedSingle, root: false) }
    case .rcpss: { x, r in approximates(x, r, .single, root: false) }
    case .rsqrtps: { x, r in approximates(x, r, .packedSingle, root: true) }
    case .rsqrtss: { x, r in approximates(x, r, .single, root: true) }
    case .dpps: { x, r in dotProduct(x, r, double: false) }
    case .dppd: { x, r in dotProduct(x, r, double: true) }
    default: nil
    }
  }
}
