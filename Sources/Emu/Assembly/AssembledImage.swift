/// What a text came to: bytes at addresses, and names.
public struct AssembledImage: Sendable, Equatable {
  /// A run of addresses with one purpose.
  public struct Section: Sendable, Equatable {
    /// `.text` and so on.
    public var name: String
    /// Where it begins.
    public var address: UInt64
    /// What it holds.
    public var bytes: [UInt8]
    /// How far it reaches; zeros behind the bytes.
    public var size: UInt64
    /// Stores are allowed.
    public var isWritable: Bool
    /// Fetches are allowed.
    public var isExecutable: Bool
  }

  /// A name for an address or a number.
  public struct Symbol: Sendable, Equatable {
    /// The name.
    public var name: String
    /// The address, or the number of one without a section.
    public var value: UInt64
    /// Bytes: as `.size` says, else up to the next symbol.
    public var size: UInt64
    /// Names instructions.
    public var isFunction: Bool
    /// Declared by `.globl`.
    public var isGlobal: Bool
    /// Its section's place in ``AssembledImage/sections``; `nil` for a number.
    public var section: Int?
  }

  /// The sections, by address.
  public var sections: [Section]
  /// The symbols, in the order in which they were defined.
  public var symbols: [Symbol]
  /// The machine in the ELF header.
  public var elfMachine: UInt16
  /// Where execution begins: `_start`, else the beginning of the text.
  public var entry: UInt64

  /// The value of a symbol.
  public func value(of symbol: String) -> UInt64? { symbols.first { $0.name == symbol }?.value }
  /// The bytes of a section.
  public func bytes(of section: String = ".text") -> [UInt8] {
    sections.first { $0.name == section }?.bytes ?? []
  }
}
