import CHostFloat
import Engine
import Testing

#if arch(x86_64)

/// The oracle is the host CPU: result bits and flags, in its four rounding modes, with inexact
/// accrued before (which opens the fast paths) and not.
@Suite("SoftFloat agrees with the host CPU")
struct SoftFloatHostTests {
  static let samples = 120_000

  enum Operation: CaseIterable, Sendable { case add, sub, mul, div }
  enum Predicate: CaseIterable, Sendable { case eq, lt, le }

  static func soft(_ operation: Operation, _ subject: Subject) -> Subject.Binary {
    switch operation {
    case .add: subject.add
    case .sub: subject.sub
    case .mul: subject.mul
    case .div: subject.div
    }
  }

  static func soft(_ predicate: Predicate, _ subject: Subject) -> Subject.Binary {
    switch predicate {
    case .eq: subject.eq
    case .lt: subject.lt
    case .le: subject.le
    }
  }

  static func host(
    _ operation: Operation, _ width: Int, _ a: UInt64, _ b: UInt64, _ rc: UInt32
  ) -> HostResult {
    switch (operation, width) {
    case (.add, 32): host_add32(a, b, rc)
    case (.sub, 32): host_sub32(a, b, rc)
    case (.mul, 32): host_mul32(a, b, rc)
    case (.div, 32): host_div32(a, b, rc)
    case (.add, _): host_add64(a, b, rc)
    case (.sub, _): host_sub64(a, b, rc)
    case (.mul, _): host_mul64(a, b, rc)
    case (.div, _): host_div64(a, b, rc)
    }
  }

  static func host(
    _ predicate: Predicate, _ width: Int, _ a: UInt64, _ b: UInt64
  ) -> HostResult {
    switch (predicate, width) {
    case (.eq, 32): host_eq32(a, b)
    case (.lt, 32): host_lt32(a, b)
    case (.le, 32): host_le32(a, b)
    case (.eq, _): host_eq64(a, b)
    case (.lt, _): host_lt64(a, b)
    case (.le, _): host_le64(a, b)
    }
  }

  /// The circumstances of the `index`th sample: every combination comes round.
  ///
  /// MXCSR numbers its RC field otherwise than `frm`: nearest, down, up, zero.
  ///
  /// Under `.propagateFirst` and `.x86` nothing about the host's answer needs translation.
  static func environment(_ index: Int) -> (env: FloatEnvironment, rc: UInt32) {
    let modes: [(RoundingMode, UInt32)] = [
      (.nearestEven, 0), (.down, 1), (.up, 2), (.towardZero, 3),
    ]
    // The fast paths are those of nearestEven, so it gets half of the samples.
    let (mode, rc) = modes[index & 1 == 0 ? 0 : index >> 1 & 3]
    let env = FloatEnvironment(
      rounding: mode, flags: index >> 3 & 1 == 0 ? [] : .inexact,
      nan: index >> 4 & 1 == 0 ? .canonical : .propagateFirst, saturation: .x86)
    return (env, rc)
  }

  static func flags(_ host: HostResult, and accrued: FloatFlags) -> FloatFlags {
    // MXCSR: IE 0, DE 1, ZE 2, OE 3, UE 4, PE 5. DE has no counterpart in IEEE 754.
    var flags = accrued
    let pairs: [(UInt32, FloatFlags)] = [
      (1, .invalid), (4, .divideByZero), (8, .overflow), (16, .underflow), (32, .inexact),
    ]
    for (bit, flag) in pairs where host.flags & bit != 0 { flags.insert(flag) }
    return flags
  }

  static func expected(_ host: HostResult, _ shape: Shape, _ env: FloatEnvironment) -> UInt64 {
    env.nan == .canonical && shape.isNaN(host.bits) ? shape.canonicalNaN : host.bits
  }

  static func subject(_ width: Int) -> Subject { width == 32 ? .single : .double }

  @Test("Two operands", arguments: [32, 64], Operation.allCases)
  func binary(width: Int, operation: Operation) {
    let subject = Self.subject(width)
    let run = Self.soft(operation, subject)
    var edges = Edges(subject.shape)
    var differences = Differences()
    for index in 0..<Self.samples {
      let a = edges.operand()
      let b = edges.partner(of: a)
      let (before, rc) = Self.environment(index)
      var env = before
      let got = run(a, b, &env)
      let oracle = Self.host(operation, width, a, b, rc)
      differences.check(
        got, env.flags, is: Self.expected(oracle, subject.shape, env),
        Self.flags(oracle, and: before.flags), [a, b], before)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test("Square root", arguments: [32, 64])
  func sqrt(width: Int) {
    let subject = Self.subject(width)
    var edges = Edges(subject.shape)
    var differences = Differences()
    for index in 0..<Self.samples {
      var a = edges.operand()
      if index % 5 == 0 {
        let root = edges.below(1 << (subject.shape.fractionBits / 2))
        a = width == 32 ? UInt64(Float(root * root).bitPattern) : Double(root * root).bitPattern
      }
      let (before, rc) = Self.environment(index)
      var env = before
      let got = subject.sqrt(a, &env)
      let oracle = width == 32 ? host_sqrt32(a, rc) : host_sqrt64(a, rc)
      differences.check(
        got, env.flags, is: Self.expected(oracle, subject.shape, env),
        Self.flags(oracle, and: before.flags), [a], before)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test("Fused multiply-add", .enabled(if: host_has_fma()), arguments: [32, 64])
  func fma(width: Int) {
    let subject = Self.subject(width)
    let shape = subject.shape
    var edges = Edges(shape)
    var differences = Differences()
    for index in 0..<Self.samples {
      let a = edges.operand()
      let b = edges.partner(of: a)
      var c = edges.operand()
      if index % 3 != 0 {
        // Near the product, so that they cancel, or as far away as alignment reaches.
        let product = width == 32 ? host_mul32(a, b, 0).bits : host_mul64(a, b, 0).bits
        c = edges.partner(of: product)
      }
      let (before, rc) = Self.environment(index)
      var env = before
      let got = subject.fma(a, b, c, &env)
      let oracle = width == 32 ? host_fma32(a, b, c, rc) : host_fma64(a, b, c, rc)
      var flags = Self.flags(oracle, and: before.flags)
      // The one choice of IEEE 754 where RISC-V and the host part.
      let undefined =
        shape.isInfinite(a) && shape.isZero(b) || shape.isZero(a) && shape.isInfinite(b)
      if undefined && env.nan == .canonical { flags.insert(.invalid) }
      differences.check(
        got, env.flags, is: Self.expected(oracle, shape, env), flags, [a, b, c], before)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test("Comparisons", arguments: [32, 64], Predicate.allCases)
  func compare(width: Int, predicate: Predicate) {
    let subject = Self.subject(width)
    let run = Self.soft(predicate, subject)
    var edges = Edges(subject.shape)
    var differences = Differences()
    for _ in 0..<Self.samples / 4 {
      let a = edges.operand()
      let b = edges.partner(of: a)
      var env = FloatEnvironment()
      let got = run(a, b, &env)
      let oracle = Self.host(predicate, width, a, b)
      differences.check(
        got, env.flags, is: oracle.bits, Self.flags(oracle, and: []), [a, b], env)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test("Between the formats", arguments: [32, 64])
  func formats(width: Int) {
    let from = Self.subject(width).shape
    let to = Self.subject(96 - width).shape
    var edges = Edges(from)
    var differences = Differences()
    for index in 0..<Self.samples {
      var a = edges.operand()
      if width == 64 && index % 3 == 0 {
        // Where binary32 ends, and one bit below where it rounds.
        let field = [0x380, 0x381, 0x369, 0x368, 0x47e, 0x47f][index / 3 % 6]
        a = edges.number(field: field)
      }
      let (before, rc) = Self.environment(index)
      var env = before
      let got: UInt64
      let oracle: HostResult
      if width == 64 {
        got = UInt64(Float32Ops.fromFloat64(a, &env))
        oracle = host_narrow(a, rc)
      } else {
        got = Float64Ops.fromFloat32(UInt32(a), &env)
        oracle = host_widen(a, rc)
      }
      differences.check(
        got, env.flags, is: Self.expected(oracle, to, env),
        Self.flags(oracle, and: before.flags), [a], before)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test(
    "To and from integers", arguments: [32, 64], [(32, true), (64, true), (32, false), (64, false)])
  func integers(width: Int, integer: (width: Int, signed: Bool)) {
    guard integer.signed || host_has_unsigned() else { return }
    let subject = Self.subject(width)
    let shape = subject.shape
    var edges = Edges(shape)
    var differences = Differences()
    for index in 0..<Self.samples / 2 {
      let (before, rc) = Self.environment(index)
      var a = edges.operand()
      if index % 2 == 0 {
        // Small halves, and the neighbours of the limits.
        let half = Double(Int64(edges.below(64)) - 32) / 2
        a = width == 32 ? UInt64(Float(half).bitPattern) : half.bitPattern
        a = edges.below(2) == 0 ? a : (a &+ edges.below(3) &- 1) & shape.mask
      }
      var env = before
      let got = subject.toInteger(a, integer.width, integer.signed, &env)
      let oracle =
        width == 32
        ? host_toint32(a, Int32(integer.width), integer.signed, rc)
        : host_toint64(a, Int32(integer.width), integer.signed, rc)
      differences.check(
        got, env.flags, is: oracle.bits, Self.flags(oracle, and: before.flags), [a], before)

      var value = Edges(.double, seed: UInt64(index)).fraction64() >> edges.below(64)
      if integer.width == 32 { value &= 0xffff_ffff }
      env = before
      let float = subject.fromInteger(value, integer.width, integer.signed, &env)
      let hosts =
        width == 32
        ? host_fromint32(value, Int32(integer.width), integer.signed, rc)
        : host_fromint64(value, Int32(integer.width), integer.signed, rc)
      differences.check(
        float, env.flags, is: hosts.bits, Self.flags(hosts, and: before.flags), [value], before)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }
}

extension Edges {
  /// 64 bits with runs of zeros and ones.
  fileprivate consuming func fraction64() -> UInt64 {
    let low = fraction()
    return low << 12 | fraction() >> 40
  }
}

#endif
