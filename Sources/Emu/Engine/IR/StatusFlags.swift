/// How the condition codes are kept: `Slot.flagKind` is one of these, or'ed with how far the operands
/// in `Slot.flagA` and `Slot.flagB` were shifted to the top of their words (64 less the width).
///
/// `Docs/decisions/0010-x86-flags-are-lazy.md` says why.
public enum FlagKind {
  /// `flagA` is the bits themselves.
  public static let packed: UInt64 = 0
  /// Of the sum of both parts.
  public static let add: UInt8 = 1
  /// Of the difference of both parts; with `flagB` zero also of every result of bits.
  public static let subtract: UInt8 = 2
  /// Zero, sign and parity of `flagA`; carry, auxiliary carry and overflow are bits of `flagB`.
  public static let result: UInt8 = 3
  /// The bits of a kind that hold the shift.
  public static let shiftMask: UInt8 = 0x38

  /// The kind with the shift of an operand of so many bytes (1, 2, 4, 8).
  @inlinable @inline(__always)
  public static func with(_ kind: UInt8, size: UInt8) -> UInt8 {
    kind | (64 &- size &* 8) & shiftMask
  }
}

/// Branches fused with what sets the condition codes.
///
/// Of a comparison there are eight outcomes: zero 1,
/// carry (below) 2, less (signed) 4; bit n of a branch's byte says whether outcome n takes it.
enum BranchCondition {
  static let zero: UInt8 = 0b1010_1010
  static let carry: UInt8 = 0b1100_1100
  static let less: UInt8 = 0b1111_0000

  /// The one outcome that a branch asks for, and whether it is taken where that is seen.
  static func single(_ condition: UInt8) -> (outcome: UInt8, isSeen: Bool)? {
    for outcome in [zero, carry, less] {
      if condition == outcome { return (outcome, true) }
      if condition == ~outcome { return (outcome, false) }
    }
    return nil
  }

  /// Of a condition numbered as in the opcodes of Jcc.
  ///
  /// - Returns: `nil` for one that asks for something else.
  static func of(condition: UInt8) -> UInt8? {
    let taken: UInt8
    switch condition &>> 1 {
    case 1: taken = carry
    case 2: taken = zero
    case 3: taken = carry | zero
    case 6: taken = less
    case 7: taken = less | zero
    default: return nil
    }
    return condition & 1 != 0 ? ~taken : taken
  }

  /// Of a branch that compares the two parts of the condition codes behind a comparison.
  static func of(_ branch: MicroOp) -> UInt8? {
    let a = UInt8(Slot.flagA)
    let b = UInt8(Slot.flagB)
    switch (branch.op, branch.a == a && branch.b == b, branch.a == b && branch.b == a) {
    case (.bltu, true, _): return carry
    case (.bgeu, true, _): return ~carry
    case (.beq, true, _): return zero
    case (.bne, true, _): return ~zero
    case (.bgeu, _, true): return carry | zero
    case (.bltu, _, true): return ~(carry | zero)
    case (.blt, true, _): return less
    case (.bge, true, _): return ~less
    case (.bge, _, true): return less | zero
    case (.blt, _, true): return ~(less | zero)
    default: return nil
    }
  }

  /// Of a branch by the sign of a result of bits.
  static func sign(_ branch: MicroOp) -> UInt8 { branch.op == .blt ? less : ~less }

  /// Whether the branch is taken behind the comparison of `a` with `b`.
  ///
  /// Without a branch of its own: bits 0 to 2 of what is looked up say which outcomes take it.
  @inline(__always)
  static func isTaken(_ condition: UInt8, _ a: UInt64, _ b: UInt64) -> Bool {
    isTaken(
      condition, isZero: a == b, carries: a < b,
      isLess: Int64(bitPattern: a) < Int64(bitPattern: b))
  }

  /// Whether it is taken behind the sum of `a` and `b`.
  @inline(__always)
  static func isTaken(_ condition: UInt8, sumOf a: UInt64, _ b: UInt64) -> Bool {
    let (sum, overflows) = Int64(bitPattern: a).addingReportingOverflow(Int64(bitPattern: b))
    return isTaken(
      condition, isZero: sum == 0, carries: UInt64(bitPattern: sum) < a,
      isLess: (sum < 0) != overflows)
  }

  /// `condition` is as in ``of(_:)``: for each of eight outcomes (zero 1, carry 2, less 4) a bit says
  /// whether it takes the branch.
  @inline(__always)
  private static func isTaken(
    _ condition: UInt8, isZero: Bool, carries: Bool, isLess: Bool
  ) -> Bool {
    let outcome = (isZero ? 1 : 0) | (carries ? 2 : 0) | (isLess ? 4 : 0) as UInt32
    return (UInt32(condition) &>> outcome) & 1 != 0
  }
}

/// The condition codes as x86 numbers their bits in RFLAGS.
///
/// - SeeAlso: Intel SDM volume 1, 'EFLAGS Register'.
public enum StatusFlags {
  /// Carry.
  public static let carry: UInt64 = 1 << 0
  /// Even parity of the low byte.
  public static let parity: UInt64 = 1 << 2
  /// Carry out of bit 3.
  public static let auxiliary: UInt64 = 1 << 4
  /// Zero.
  public static let zero: UInt64 = 1 << 6
  /// Sign.
  public static let sign: UInt64 = 1 << 7
  /// Overflow.
  public static let overflow: UInt64 = 1 << 11
  /// All six.
  public static let all: UInt64 = 0x8d5

  /// Zero, sign and parity of a result shifted to the top of its word by `shift`.
  @inline(__always)
  public static func ofResult(_ result: UInt64, shift: UInt64) -> UInt64 {
    var flags: UInt64 = result == 0 ? zero : 0
    flags |= (result &>> 63) &<< 7
    if ((result &>> shift) & 0xff).nonzeroBitCount & 1 == 0 { flags |= parity }
    return flags
  }

  /// The six bits.
  @inline(never)
  public static func packed(_ x: UnsafeMutablePointer<UInt64>) -> UInt64 {
    let a = x[Slot.flagA]
    let b = x[Slot.flagB]
    let kind = UInt8(truncatingIfNeeded: x[Slot.flagKind])
    let shift = UInt64(kind & FlagKind.shiftMask)
    switch kind & 3 {
    case FlagKind.add:
      let sum = a &+ b
      var flags = ofResult(sum, shift: shift) | (sum < a ? carry : 0)
      flags |= (((a ^ sum) & (b ^ sum)) &>> 63) &<< 11
      return flags | ((a ^ b ^ sum) &>> shift) & auxiliary
    case FlagKind.subtract:
      let difference = a &- b
      var flags = ofResult(difference, shift: shift) | (a < b ? carry : 0)
      flags |= (((a ^ b) & (a ^ difference)) &>> 63) &<< 11
      return flags | ((a ^ b ^ difference) &>> shift) & auxiliary
    case FlagKind.result: return ofResult(a, shift: shift) | b
    default: return a
    }
  }

  /// Whether the carry flag is set.
  public static func carrySet(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
    let a = x[Slot.flagA]
    switch UInt8(truncatingIfNeeded: x[Slot.flagKind]) & 3 {
    case FlagKind.add: return a &+ x[Slot.flagB] < a
    case FlagKind.subtract: return a < x[Slot.flagB]
    case FlagKind.result: return x[Slot.flagB] & carry != 0
    default: return a & carry != 0
    }
  }

  /// Whether a condition holds, numbered as in the opcodes of Jcc.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'EFLAGS Condition Codes'.
  @inline(never)
  public static func holds(_ x: UnsafeMutablePointer<UInt64>, _ condition: UInt8) -> Bool {
    let a = x[Slot.flagA]
    let b = x[Slot.flagB]
    let kind = UInt8(truncatingIfNeeded: x[Slot.flagKind]) & 3
    // Parity and what packed bits say aside, without putting all six together.
    if condition &>> 1 != 5, kind == FlagKind.subtract || kind == FlagKind.add {
      let isSum = kind == FlagKind.add
      let result = isSum ? a &+ b : a &- b
      let overflows = ((isSum ? (a ^ result) & (b ^ result) : (a ^ b) & (a ^ result)) &>> 63) != 0
      let carries = isSum ? result < a : a < b
      let negative = result &>> 63 != 0
      let yes: Bool
      switch condition &>> 1 & 7 {
      case 0: yes = overflows
      case 1: yes = carries
      case 2: yes = result == 0
      case 3: yes = carries || result == 0
      case 4: yes = negative
      case 6: yes = negative != overflows
      default: yes = negative != overflows || result == 0
      }
      return yes != (condition & 1 != 0)
    }
    return holds(packed(x), condition)
  }

  /// Whether a condition holds for these bits.
  public static func holds(_ flags: UInt64, _ condition: UInt8) -> Bool {
    let less = (flags &>> 7 ^ flags &>> 11) & 1 != 0
    let yes: Bool
    switch condition &>> 1 & 7 {
    case 0: yes = flags & overflow != 0
    case 1: yes = flags & carry != 0
    case 2: yes = flags & zero != 0
    case 3: yes = flags & (carry | zero) != 0
    case 4: yes = flags & sign != 0
    case 5: yes = flags & parity != 0
    case 6: yes = less
    default: yes = less || flags & zero != 0
    }
    return yes != (condition & 1 != 0)
  }

  /// Sets all six.
  @inline(__always)
  public static func set(_ x: UnsafeMutablePointer<UInt64>, _ flags: UInt64) {
    x[Slot.flagKind] = FlagKind.packed
    x[Slot.flagA] = flags & all
    x[Slot.flagB] = 0
  }

  // MARK: Micro-ops

  private static func shift(_ op: MicroOp) -> UInt64 { UInt64(op.c & FlagKind.shiftMask) }

  @inline(__always)
  private static func finish(
    _ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp, _ result: UInt64, _ others: UInt64
  ) {
    x[Slot.flagKind] = UInt64(op.c & FlagKind.shiftMask | FlagKind.result)
    x[Slot.flagA] = result
    x[Slot.flagB] = others
    x[Int(op.d)] = result &>> shift(op)
  }

  @inline(never)
  static func addWithCarry(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = x[Int(op.a)] &<< shift
    let b = x[Int(op.b)] &<< shift
    let (first, over) = a.addingReportingOverflow(b)
    let (sum, more) = first.addingReportingOverflow(carrySet(x) ? 1 &<< shift : 0)
    var others = over || more ? carry : 0
    others |= (((a ^ sum) & (b ^ sum)) &>> 63) &<< 11
    others |= ((a ^ b ^ sum) &>> shift) & auxiliary
    finish(x, op, sum, others)
  }

  @inline(never)
  static func subtractWithBorrow(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = x[Int(op.a)] &<< shift
    let b = x[Int(op.b)] &<< shift
    let (first, over) = a.subtractingReportingOverflow(b)
    let (difference, more) = first.subtractingReportingOverflow(carrySet(x) ? 1 &<< shift : 0)
    var others = over || more ? carry : 0
    others |= (((a ^ b) & (a ^ difference)) &>> 63) &<< 11
    others |= ((a ^ b ^ difference) &>> shift) & auxiliary
    finish(x, op, difference, others)
  }

  @inline(never)
  static func increment(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let result = (x[Int(op.a)] &+ 1) &<< shift
    var others = carrySet(x) ? carry : 0
    if result == 1 &<< 63 { others |= overflow }
    if (result &>> shift) & 15 == 0 { others |= auxiliary }
    finish(x, op, result, others)
  }

  @inline(never)
  static func decrement(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let before = x[Int(op.a)] &<< shift
    var others = carrySet(x) ? carry : 0
    if before == 1 &<< 63 { others |= overflow }
    if (before &>> shift) & 15 == 0 { others |= auxiliary }
    finish(x, op, before &- (1 &<< shift), others)
  }

  @inline(__always)
  static func shiftLeft(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = x[Int(op.a)] &<< shift
    let result = a &<< UInt64(op.e)
    let out = (a &>> (64 &- UInt64(op.e))) & 1
    finish(x, op, result, out | (out ^ result &>> 63) &<< 11)
  }

  @inline(__always)
  static func shiftRight(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = x[Int(op.a)] &<< shift
    let result = ((a &>> UInt64(op.e)) &>> shift) &<< shift
    let out = (a &>> (shift &+ UInt64(op.e) &- 1)) & 1
    finish(x, op, result, out | (a &>> 63) &<< 11)
  }

  @inline(__always)
  static func shiftRightSigned(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = x[Int(op.a)] &<< shift
    let moved = UInt64(bitPattern: Int64(bitPattern: a) &>> Int64(op.e))
    let out = (a &>> (shift &+ UInt64(op.e) &- 1)) & 1
    finish(x, op, (moved &>> shift) &<< shift, out)
  }

  /// The flags of the product as signed numbers: carry and overflow where it does not fit.
  @inline(__always)
  static func multiply(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    let shift = shift(op)
    let a = Int64(bitPattern: x[Int(op.a)] &<< shift) &>> Int64(shift)
    let b = Int64(bitPattern: x[Int(op.b)] &<< shift) &>> Int64(shift)
    let product = a.multipliedFullWidth(by: b)
    let result = product.low &<< shift
    let whole = Int64(bitPattern: result) &>> Int64(shift)
    let fits =
      Int64(bitPattern: product.low) == whole
      && product.high == Int64(bitPattern: product.low) &>> 63
    finish(x, op, result, fits ? 0 : carry | overflow)
  }
}
