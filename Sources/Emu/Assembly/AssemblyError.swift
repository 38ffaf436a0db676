/// What is wrong with a text, and where.
public struct AssemblyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line, from 1.
  public var line: Int
  /// The byte of the line, from 1.
  public var column: Int
  /// What is wrong.
  public var message: String

  /// An error at a place.
  public init(line: Int, column: Int, _ message: String) {
    self.line = line
    self.column = column
    self.message = message
  }

  /// `line:column: message`.
  public var description: String { "\(line):\(column): \(message)" }
}

/// What is wrong with a statement; the assembler knows its line.
public struct AssemblyProblem: Error, Equatable, Sendable {
  /// The byte of the line, from 1; `nil`: the statement as a whole.
  public var column: Int?
  /// What is wrong.
  public var message: String

  /// A problem at a column.
  public init(_ message: String, column: Int? = nil) {
    self.column = column
    self.message = message
  }
}

/// Bounds of what the assembler takes.
public enum AssemblyLimit {
  /// Bytes of text.
  public static let text = 1 << 20
  /// Bytes that all sections may come to.
  public static let size = 16 << 20
  /// How deep expressions may be nested.
  public static let depth = 64
}
