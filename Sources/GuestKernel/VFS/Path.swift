import Engine

/// A path or a name in a directory: bytes, as Linux has it.
///
/// No encoding is assumed, so that any name can be told from any other.
public struct Path: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The bytes, without a terminator.
  public var bytes: [UInt8]

  /// A path of the given bytes.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  /// A path of the UTF-8 bytes of `text`.
  public init(_ text: String) { bytes = Array(text.utf8) }
  /// A path of the UTF-8 bytes of a literal.
  public init(stringLiteral value: String) { bytes = Array(value.utf8) }

  /// The bytes as text; what is not UTF-8 is replaced.
  public var description: String { String(decoding: bytes, as: UTF8.self) }
  /// The bytes as text, or `nil` where they are not UTF-8.
  public var text: String? { String(validating: bytes, as: UTF8.self) }
  /// Whether it begins with a slash.
  public var isAbsolute: Bool { bytes.first == Self.slash }
  /// Whether there are no bytes.
  public var isEmpty: Bool { bytes.isEmpty }

  /// `NAME_MAX`: bytes in a name.
  public static let nameLimit = 255
  /// `PATH_MAX`: bytes in a path with its terminator.
  public static let pathLimit = 4096

  static let slash = UInt8(ascii: "/")
  static let dot: Path = "."
  static let dotDot: Path = ".."

  /// `self/name`.
  func appending(_ name: Path) -> Path {
    Path(bytes + (bytes.last == Self.slash ? [] : [Self.slash]) + name.bytes)
  }
}

extension Path: Archived {
  package static func placeholder(_ a: Archive) -> Path { Path([UInt8]()) }
  package mutating func archive(_ a: Archive) { a("bytes", &bytes) }
}

extension Path: Comparable {
  /// The order of bytes.
  public static func < (a: Path, b: Path) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}
