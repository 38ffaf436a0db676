/// What a floating-point helper does, where host code can do the same.
///
/// An ISA says it of its helpers (``GuestISA/nativeFloat``). The helper stays the meaning: compiled
/// code takes the host's result only where it is provably the helper's (``FloatFormat``'s fast paths
/// say why) and calls the helper otherwise. `d`, `a`, `b`, `c` are slots, the low three bits of `e`
/// the rounding mode, 7 for ``Slot/fpRounding``; exceptions accrue in ``Slot/fpFlags``. NaN results
/// are left to the helper. Single precision lies in the low half under 32 ones, or is a NaN.
public struct NativeFloat: Sendable, Hashable {
  /// The operation.
  public enum Operation: Sendable {
    /// d = a op b.
    case add, sub, mul, div
    /// d = the root of a.
    case sqrt
    /// d = ±(a × b) ± c.
    case fmadd, fmsub, fnmsub, fnmadd
    /// d = a with the sign of b; with the opposite; with the product of both.
    case sgnj, sgnjn, sgnjx
    /// d = 1 or 0.
    case eq, lt, le
    /// d = the lesser, the greater.
    case min, max
    /// d = the integer a, of so many bits, signed or not.
    case fromInt32, fromUInt32, fromInt64
    /// d = a as an integer.
    case toInt32, toUInt32, toInt64
    /// d = a, of the other format.
    case convert
  }

  /// The operation.
  public var operation: Operation
  /// Whether the floating-point operand, and the result of a conversion between formats, is double.
  public var isDouble: Bool

  /// An operation on doubles or singles.
  public init(_ operation: Operation, isDouble: Bool) {
    self.operation = operation
    self.isDouble = isDouble
  }
}
