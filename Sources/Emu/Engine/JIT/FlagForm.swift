/// How the condition codes of a micro-op follow from slots behind it, though its result may have
/// taken the place of an operand.
enum FlagForm {
  /// From both operands.
  case operands
  /// From what both have in common.
  case test
  /// From the result, which is of bits.
  case result
  /// From the difference, which lies where the first operand was, and the second.
  case difference
  /// From the difference, which lies where the second operand was, and the first.
  case negated
  /// From the sum, which lies where the first operand was, and the second.
  case sum
  /// The same the other way round.
  case sumSecond
  /// From the result, one more or less; the carry is that of before.
  case count
  /// From the result and `Slot.flagOperand`.
  case shift
  /// From the result and, in the lowest byte of `Slot.flagOperand`, whether it does not fit.
  case product
  /// Of a floating-point comparison: from both operands.
  case floats
  /// Not at all.
  case lost

  /// - Returns: `nil` for a micro-op that sets no condition codes, or does more than set them.
  init?(_ op: MicroOp) {
    switch op.op {
    case .ccmp, .ccmpi: self = .operands
    case .ctest, .ctesti: self = .test
    case .cand, .candi, .cor, .cori, .cxor, .cxori: self = .result
    case .csub:
      if op.d != op.a {
        self = op.d == op.b ? .negated : .operands
      } else {
        self = op.d == op.b ? .lost : .difference
      }
    case .csubi: self = op.d == op.a ? .difference : .operands
    case .cadd:
      if op.d != op.a {
        self = op.d == op.b ? .sumSecond : .operands
      } else {
        self = op.d == op.b ? .lost : .sum
      }
    case .caddi: self = op.d == op.a ? .sum : .operands
    case .cinc, .cdec: self = .count
    case .cshli, .cshri, .csari: self = .shift
    case .cmul: self = .product
    default: return nil
    }
  }

  static func isImmediate(_ op: MicroOp) -> Bool {
    switch op.op {
    case .ccmpi, .ctesti, .candi, .cori, .cxori, .csubi, .caddi: true
    default: false
    }
  }

  /// Bytes of an operand.
  static func size(_ op: MicroOp) -> UInt8 { (64 - (op.c & FlagKind.shiftMask)) / 8 }

  /// The slots that must stay as they are.
  func slots(_ op: MicroOp) -> [UInt8] {
    let second = Self.isImmediate(op) ? op.a : op.b
    switch self {
    case .operands, .test, .floats: return self == .floats ? [op.a, op.b] : [op.a, second]
    case .result, .count, .shift, .product: return [op.d]
    case .difference, .sum: return [op.d, Self.isImmediate(op) ? op.d : op.b]
    case .negated, .sumSecond: return [op.d, op.a]
    case .lost: return []
    }
  }

  /// Whether a condition can be told without storing the condition codes.
  func answers(_ condition: UInt8) -> Bool {
    switch self {
    case .operands, .test, .result, .difference, .negated, .sum, .sumSecond, .floats: true
    case .count: condition != 2 && condition != 3 && condition != 6 && condition != 7
    case .shift, .product: condition & 14 == 4 || condition & 14 == 8 || condition & 14 == 10
    case .lost: false
    }
  }
}

extension StatusFlags {
  /// Has the slots say the condition codes that a micro-op set, whose inputs are as ``FlagForm``
  /// says.
  static func resolve(_ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp) {
    guard let form = FlagForm(op) else { return }
    let shift = UInt64(op.c & FlagKind.shiftMask)
    let d = x[Int(op.d)]
    let a = x[Int(op.a)]
    let b = FlagForm.isImmediate(op) ? UInt64(bitPattern: op.imm) : x[Int(op.b)]
    func note(_ first: UInt64, _ second: UInt64) {
      x[Slot.flagKind] = UInt64(op.c)
      x[Slot.flagA] = first &<< shift
      x[Slot.flagB] = second &<< shift
    }
    switch form {
    case .operands: note(a, b)
    case .test: note(a & b, 0)
    case .result: note(d, 0)
    case .difference: note(d &+ b, b)
    case .negated: note(a, a &- d)
    case .sum: note(d &- b, b)
    case .sumSecond: note(a, d &- a)
    case .count:
      // As if it were done again.
      again(x, op, d &+ (op.op == .cinc ? .max : 1), b)
    case .shift: again(x, op, x[Slot.flagOperand], b)
    case .product:
      note(d, 0)
      x[Slot.flagB] = x[Slot.flagOperand] & 1 != 0 ? carry | overflow : 0
    case .floats, .lost: break
    }
  }

  /// Does the micro-op on operands that lie elsewhere, and keeps the result.
  private static func again(
    _ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp, _ a: UInt64, _ b: UInt64
  ) {
    var op = op
    let kept = (x[Slot.temp + 14], x[Slot.temp + 15])
    (op.a, op.b, op.d) = (UInt8(Slot.temp + 14), UInt8(Slot.temp + 15), UInt8(Slot.sink))
    x[Slot.temp + 14] = a
    x[Slot.temp + 15] = b
    switch op.op {
    case .cinc: increment(x, op)
    case .cdec: decrement(x, op)
    case .cshli: shiftLeft(x, op)
    case .cshri: shiftRight(x, op)
    default: shiftRightSigned(x, op)
    }
    (x[Slot.temp + 14], x[Slot.temp + 15]) = kept
  }

  /// The same for a floating-point comparison, with its operands' bits, widened from single
  /// precision without change where they are singles.
  static func resolve(_ x: UnsafeMutablePointer<UInt64>, _ a: UInt64, _ b: UInt64, double: Bool) {
    let sign: UInt64 = double ? 1 << 63 : 1 << 31
    let infinity: UInt64 = double ? 0x7ff0_0000_0000_0000 : 0x7f80_0000
    let keep: UInt64 = double ? .max : 0xffff_ffff
    let (a, b) = (a & keep, b & keep)
    let (first, second) = (a & ~sign, b & ~sign)
    if first > infinity || second > infinity { return set(x, zero | parity | carry) }
    if first | second == 0 || a == b { return set(x, zero) }
    func rank(_ bits: UInt64, _ magnitude: UInt64) -> Int64 {
      bits & sign != 0 ? -Int64(bitPattern: magnitude) : Int64(bitPattern: magnitude)
    }
    set(x, rank(a, first) < rank(b, second) ? carry : 0)
  }
}
