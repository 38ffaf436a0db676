/// What a helper does, where host code can do the same (``GuestISA/nativeHelpers``).
public enum NativeHelper: Sendable, Hashable {
  /// Floating point as ``NativeFloat`` says.
  case float(NativeFloat)
  /// An SSE instruction, on slots in pairs.
  case vector(NativeVector)
  /// Looks at `a`, and does nothing where all is well.
  case check(NativeCheck)
}

/// An SSE instruction that the host has too.
///
/// A vector operand is the slots of its two halves, of which the first is named. `d`, which for an
/// instruction of two operands is `a` as well, gets `d op b`. Not where `e` has bit 0 set, which
/// means operands of twice the width. Bit 1 of `e` means 64 bits in a general register.
/// Exceptions accrue in the slot that ``GuestISA/floatControl`` names; where one of them is not
/// masked, or rounding is not to nearest, or tiny numbers are zero, the helper is called.
public struct NativeVector: Sendable, Hashable {
  /// Where operands are.
  public enum Form: Sendable {
    /// Vectors.
    case vectors
    /// The same with `c` as immediate.
    case immediate
    /// The same with one of the first eight predicates as immediate.
    case predicate
    /// `b` is a general register.
    case fromGeneral
    /// `d` is a general register.
    case toGeneral
    /// Sets the condition codes by `a` and `b`.
    case compare
  }

  /// The opcode behind 0F, and the prefix before: 0 for none.
  public var opcode: UInt8
  /// See `opcode`.
  public var prefix: UInt8
  /// Where operands are.
  public var form: Form
  /// Whether it rounds or raises exceptions.
  public var isFloat: Bool

  /// Arithmetic on the low element alone: the other operand may be in memory, aligned or not.
  var isScalarArithmetic: Bool {
    form == .vectors && (prefix == 0xf2 || prefix == 0xf3)
      && (opcode == 0x51 || 0x58...0x5f ~= opcode && opcode != 0x5b)
  }

  /// An instruction of these parts.
  public init(_ opcode: UInt8, prefix: UInt8 = 0, _ form: Form = .vectors, isFloat: Bool = false) {
    self.opcode = opcode
    self.prefix = prefix
    self.form = form
    self.isFloat = isFloat
  }
}

/// What a checking helper finds well; for the rest it is asked itself.
public enum NativeCheck: Sendable {
  /// An address of which bits 63 to 47 are the same.
  case canonical
  /// An address without any of the bits of `c`.
  case aligned
}

/// Helpers by address: a table with open addressing, since translation asks for every helper.
struct NativeTable {
  private static let size = 512
  private var keys = [Int](repeating: 0, count: size)
  private var values = [NativeHelper?](repeating: nil, count: size)
  /// The slot of the guest's MXCSR, if it has one.
  let floatControl: UInt8?

  init(_ isa: any GuestISA) {
    floatControl = isa.floatControl
    let rows = isa.nativeFloat.map { ($0.helper, NativeHelper.float($0.float)) }
    for row in (rows + isa.nativeHelpers.map { ($0.helper, $0.native) }).prefix(Self.size / 2) {
      let key = Int(bitPattern: unsafeBitCast(row.0, to: UnsafeRawPointer.self))
      var at = Self.hash(key)
      while keys[at] != 0 { at = (at + 1) & (Self.size - 1) }
      keys[at] = key
      values[at] = row.1
    }
  }

  private static func hash(_ key: Int) -> Int { (key >> 4 ^ key >> 12) & (size - 1) }

  subscript(_ key: Int64) -> NativeHelper? {
    let key = Int(truncatingIfNeeded: key)
    var at = Self.hash(key)
    while keys[at] != 0 {
      if keys[at] == key { return values[at] }
      at = (at + 1) & (Self.size - 1)
    }
    return nil
  }
}
