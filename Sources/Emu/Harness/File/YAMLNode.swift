/// A value of a YAML file and where it stands.
struct YAMLNode {
  /// What it is.
  enum Kind {
    /// A text; plain ones may be numbers and truth values.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([(key: YAMLNode, value: YAMLNode)])
  }

  var kind: Kind
  /// From 1.
  var line: Int
  /// From 1.
  var column: Int
  /// A `|` block: its text begins on the next line.
  var isLiteral = false
  /// How many nodes it is, aliases counted each time.
  var size = 1

  /// What errors call it.
  var typeName: String {
    switch kind {
    case .scalar: "a value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

/// Why a scenario file can't be read, in one line.
public struct ScenarioError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file.
  public var file: String
  /// The line, from 1; 0: the file as a whole.
  public var line: Int
  /// The column, from 1.
  public var column: Int
  /// What is wrong.
  public var message: String

  init(_ file: String, _ line: Int, _ column: Int, _ message: String) {
    self.file = file
    self.line = line
    self.column = column
    // One line, whatever names and texts are in it.
    self.message = message.replacing("\n", with: "\\n")
  }

  /// `file:line:column: message`.
  public var description: String {
    line == 0 ? "\(file): \(message)" : "\(file):\(line):\(column): \(message)"
  }
}

/// Bounds of what a scenario file may be.
public enum ScenarioLimit {
  /// Bytes of a file.
  public static let file = 1 << 20
  /// Values of a file, aliases counted each time.
  public static let nodes = 50_000
  /// How deep values may be nested.
  public static let depth = 32
  /// Scenarios of a file.
  public static let documents = 1000
}
