import Engine

/// The layout of a format, for making and reading bits without the code under test.
struct Shape: Sendable {
  let fractionBits: UInt64
  let exponentBits: UInt64

  static let single = Shape(fractionBits: 23, exponentBits: 8)
  static let double = Shape(fractionBits: 52, exponentBits: 11)

  var width: UInt64 { 1 + exponentBits + fractionBits }
  var sign: UInt64 { 1 << (width - 1) }
  var fractionMask: UInt64 { 1 << fractionBits - 1 }
  var greatestField: UInt64 { 1 << exponentBits - 1 }
  var infinity: UInt64 { greatestField << fractionBits }
  var quietBit: UInt64 { 1 << (fractionBits - 1) }
  var canonicalNaN: UInt64 { infinity | quietBit }
  var mask: UInt64 { sign | (sign - 1) }

  func isNaN(_ a: UInt64) -> Bool { a & (sign - 1) > infinity }
  func isSignaling(_ a: UInt64) -> Bool { isNaN(a) && a & quietBit == 0 }
  func isInfinite(_ a: UInt64) -> Bool { a & (sign - 1) == infinity }
  func isZero(_ a: UInt64) -> Bool { a & (sign - 1) == 0 }
}

/// Operands with a love of edges, from a fixed seed (SplitMix64).
struct Edges {
  var state: UInt64
  let shape: Shape

  init(_ shape: Shape, seed: UInt64 = 1) {
    self.shape = shape
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }

  mutating func sign() -> UInt64 { next() & shape.sign }

  /// Random, sparse, or runs of equal bits: what makes ties, carries and near misses.
  mutating func fraction() -> UInt64 {
    let random = next()
    let bits: UInt64
    switch random & 7 {
    case 0: bits = 0
    case 1: bits = shape.fractionMask
    case 2: bits = 1 << (random >> 8 % shape.fractionBits)
    case 3: bits = ~0 << (random >> 8 % (shape.fractionBits + 1))
    case 4: bits = (1 << (random >> 8 % (shape.fractionBits + 1))) - 1
    case 5: bits = next() << (random >> 8 % (shape.fractionBits + 1))
    default: bits = next()
    }
    return bits & shape.fractionMask
  }

  mutating func number(field: Int) -> UInt64 {
    let greatest = Int(shape.greatestField) - 1
    let clamped = UInt64(field < 0 ? 0 : field > greatest ? greatest : field)
    return sign() | clamped << shape.fractionBits | fraction()
  }

  mutating func operand() -> UInt64 {
    let bias = Int(shape.greatestField / 2)
    switch below(16) {
    case 0: return sign()
    case 1: return below(4) == 0 ? sign() | shape.infinity : sign() | 1
    case 2: return sign() | shape.infinity | next() & shape.fractionMask
    case 3: return sign() | fraction()
    case 4: return number(field: Int(below(4)))
    case 5: return number(field: 2 * bias - Int(below(4)))
    case 6: return next() & shape.mask
    case 7: return number(field: bias + [30, 31, 32, 62, 63, 64][Int(below(6))])
    case 8: return number(field: Int(below(shape.greatestField)))
    case 9: return number(field: bias + Int(shape.fractionBits) - 1 + Int(below(3)))
    default: return number(field: bias - 3 + Int(below(40)))
    }
  }

  /// A second operand that meets `a` where additions cancel and products leave the range.
  mutating func partner(of a: UInt64) -> UInt64 {
    let bias = Int(shape.greatestField / 2)
    let field = Int(a >> shape.fractionBits & shape.greatestField)
    let reach = Int(shape.fractionBits) + 4
    switch below(8) {
    case 0: return (a ^ sign()) & shape.mask
    case 1: return ((a ^ sign()) &+ below(5) &- 2) & shape.mask
    case 2: return number(field: field - reach + Int(below(UInt64(2 * reach))))
    case 3: return number(field: bias - field + Int(below(UInt64(reach))) - reach)
    case 4: return number(field: 3 * bias - field + Int(below(4)) - 2)
    case 5: return number(field: field - bias + Int(below(4)))
    default: return operand()
    }
  }
}

/// The operations of one format with `UInt64` for bits, so that a test is written once.
struct Subject: Sendable {
  typealias Unary = @Sendable (UInt64, inout FloatEnvironment) -> UInt64
  typealias Binary = @Sendable (UInt64, UInt64, inout FloatEnvironment) -> UInt64
  typealias Ternary = @Sendable (UInt64, UInt64, UInt64, inout FloatEnvironment) -> UInt64

  let shape: Shape
  let add: Binary
  let sub: Binary
  let mul: Binary
  let div: Binary
  let sqrt: Unary
  let fma: Ternary
  let min: Binary
  let max: Binary
  let eq: Binary
  let lt: Binary
  let le: Binary
  let classify: @Sendable (UInt64) -> UInt16
  /// To an integer of the given width and signedness, extended as the type extends.
  let toInteger: @Sendable (UInt64, Int, Bool, inout FloatEnvironment) -> UInt64
  let fromInteger: @Sendable (UInt64, Int, Bool, inout FloatEnvironment) -> UInt64

  static let double = Subject(
    shape: .double,
    add: { Float64Ops.add($0, $1, &$2) }, sub: { Float64Ops.sub($0, $1, &$2) },
    mul: { Float64Ops.mul($0, $1, &$2) }, div: { Float64Ops.div($0, $1, &$2) },
    sqrt: { Float64Ops.sqrt($0, &$1) }, fma: { Float64Ops.fma($0, $1, $2, &$3) },
    min: { Float64Ops.min($0, $1, &$2) }, max: { Float64Ops.max($0, $1, &$2) },
    eq: { Float64Ops.eq($0, $1, &$2) ? 1 : 0 }, lt: { Float64Ops.lt($0, $1, &$2) ? 1 : 0 },
    le: { Float64Ops.le($0, $1, &$2) ? 1 : 0 }, classify: { Float64Ops.classify($0) },
    toInteger: { a, width, signed, env in
      switch (width, signed) {
      case (32, true): UInt64(bitPattern: Int64(Float64Ops.toInt32(a, &env)))
      case (32, false): UInt64(Float64Ops.toUInt32(a, &env))
      case (_, true): UInt64(bitPattern: Float64Ops.toInt64(a, &env))
      default: Float64Ops.toUInt64(a, &env)
      }
    },
    fromInteger: { value, width, signed, env in
      switch (width, signed) {
      case (32, true): Float64Ops.fromInt32(Int32(truncatingIfNeeded: value), &env)
      case (32, false): Float64Ops.fromUInt32(UInt32(truncatingIfNeeded: value), &env)
      case (_, true): Float64Ops.fromInt64(Int64(bitPattern: value), &env)
      default: Float64Ops.fromUInt64(value, &env)
      }
    })

  static let single = Subject(
    shape: .single,
    add: { UInt64(Float32Ops.add(UInt32($0), UInt32($1), &$2)) },
    sub: { UInt64(Float32Ops.sub(UInt32($0), UInt32($1), &$2)) },
    mul: { UInt64(Float32Ops.mul(UInt32($0), UInt32($1), &$2)) },
    div: { UInt64(Float32Ops.div(UInt32($0), UInt32($1), &$2)) },
    sqrt: { UInt64(Float32Ops.sqrt(UInt32($0), &$1)) },
    fma: { UInt64(Float32Ops.fma(UInt32($0), UInt32($1), UInt32($2), &$3)) },
    min: { UInt64(Float32Ops.min(UInt32($0), UInt32($1), &$2)) },
    max: { UInt64(Float32Ops.max(UInt32($0), UInt32($1), &$2)) },
    eq: { Float32Ops.eq(UInt32($0), UInt32($1), &$2) ? 1 : 0 },
    lt: { Float32Ops.lt(UInt32($0), UInt32($1), &$2) ? 1 : 0 },
    le: { Float32Ops.le(UInt32($0), UInt32($1), &$2) ? 1 : 0 },
    classify: { Float32Ops.classify(UInt32($0)) },
    toInteger: { a, width, signed, env in
      switch (width, signed) {
      case (32, true): UInt64(bitPattern: Int64(Float32Ops.toInt32(UInt32(a), &env)))
      case (32, false): UInt64(Float32Ops.toUInt32(UInt32(a), &env))
      case (_, true): UInt64(bitPattern: Float32Ops.toInt64(UInt32(a), &env))
      default: Float32Ops.toUInt64(UInt32(a), &env)
      }
    },
    fromInteger: { value, width, signed, env in
      switch (width, signed) {
      case (32, true): UInt64(Float32Ops.fromInt32(Int32(truncatingIfNeeded: value), &env))
      case (32, false): UInt64(Float32Ops.fromUInt32(UInt32(truncatingIfNeeded: value), &env))
      case (_, true): UInt64(Float32Ops.fromInt64(Int64(bitPattern: value), &env))
      default: UInt64(Float32Ops.fromUInt64(value, &env))
      }
    })
}

/// What differed: a count, and the first few in words.
struct Differences {
  private(set) var count = 0
  private(set) var first: [String] = []

  mutating func check(
    _ got: UInt64, _ flags: FloatFlags, is bits: UInt64, _ expected: FloatFlags,
    _ inputs: @autoclosure () -> [UInt64], _ env: @autoclosure () -> FloatEnvironment
  ) {
    if got == bits && flags == expected { return }
    count += 1
    if first.count == 8 { return }
    let operands = inputs().map { String($0, radix: 16) }.joined(separator: " ")
    first.append(
      "\(operands) \(env()): got \(String(got, radix: 16)) \(flags.rawValue),"
        + " not \(String(bits, radix: 16)) \(expected.rawValue)")
  }
}
