import Engine

/// One executed instruction and what it did.
public struct InsnRecord: Sendable, Equatable {
  /// A register with the value that was written to it.
  public struct Write: Sendable, Equatable {
    /// Its name in the manuals.
    public var name: String
    /// Where the hart keeps it.
    public var slot: Int
    /// The value.
    public var value: UInt64
  }

  /// An access to memory.
  public struct Access: Sendable, Equatable {
    /// Where.
    public var address: UInt64
    /// Bytes.
    public var size: Int
    /// A store, not a load.
    public var isStore: Bool
    /// The bytes that are there behind it; `nil` where that can't be told (a device).
    public var bytes: [UInt8]?

    /// They as one number in hexadecimal digits, two a byte.
    public var digits: String? {
      bytes.map { $0.reversed().map { hex(UInt64($0), 2) }.joined() }
    }
  }

  /// The hart.
  public var hart = 0
  /// Its number among all instructions begun: the first is 0.
  public var count: UInt64
  /// The task of a program's instruction; -1 where it is nobody's.
  public var task: Int32 = -1
  /// The mode: the manual's letter.
  public var mode: Character
  /// The mode: its number.
  public var modeNumber: Int
  /// Its address.
  public var pc: UInt64
  /// Its bytes.
  public var bytes: [UInt8]
  /// As what the hart reads them.
  public var code: CodeKind = 0
  /// What it wrote, in the order of the registers.
  public var writes: [Write] = []
  /// What it accessed, in order.
  public var accesses: [Access] = []
  /// All registers before it, in the order of ``TraceISA/registers``; only where they are asked for.
  public var before: [UInt64] = []
  /// Where the hart went on, as far as it was watched.
  public var next: UInt64?
  /// It raised an exception, or was interrupted: the hart is in a vector now.
  public var trapped = false

  /// It faulted and begins once more.
  var isRepeated: Bool { trapped && next == pc }
}
