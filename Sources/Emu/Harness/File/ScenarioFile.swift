import Machine

/// A file of scenarios, read.
public struct ScenarioFile: Sendable {
  /// The file's path.
  public var path: String
  /// The scenarios, in the order of the file.
  public var scenarios: [Scenario]
  /// Where each one's assembly text stands.
  var assemblies: [AssemblyOrigin?]

  /// Where a text stands in a file.
  struct AssemblyOrigin: Sendable, Equatable {
    /// The file's line that the text's first line is.
    var line: Int
    /// Columns in front of the text.
    var indent: Int
    /// Each line of the text is a line of the file.
    var isExact: Bool
  }

  /// Reads a file of the host.
  ///
  /// - Throws: the first thing that is wrong, with line and column.
  public init(_ path: String) throws(ScenarioError) {
    let bytes: [UInt8]
    do {
      bytes = try Host.contents(of: path, limit: ScenarioLimit.file)
    } catch {
      // The description begins with the path.
      let text = error.description
      let plain = text.hasPrefix("\(path): ") ? String(text.dropFirst(path.count + 2)) : text
      throw ScenarioError(path, 0, 0, plain)
    }
    try self.init(bytes, path: path)
  }

  /// Reads a file's bytes; what it names is looked for beside `path`.
  ///
  /// - Throws: the first thing that is wrong, with line and column.
  public init(_ bytes: [UInt8], path: String) throws(ScenarioError) {
    self.path = path
    scenarios = []
    assemblies = []
    let documents = try YAMLParser.documents(bytes, file: path)
    guard !documents.isEmpty else { throw ScenarioError(path, 0, 0, "it holds no scenario") }
    let reader = ScenarioReader(
      file: path, lines: bytes.split(separator: 10, omittingEmptySubsequences: false))
    for (number, document) in documents.enumerated() {
      let found = try reader.scenarios(
        document, number: documents.count > 1 ? number + 1 : nil)
      for (scenario, assembly) in found {
        scenarios.append(scenario)
        assemblies.append(assembly)
      }
    }
  }

  /// An error of preparing a scenario, with its place in the file where it is in the assembly text.
  public func error(_ error: HarnessError, of scenario: Int) -> ScenarioError {
    guard let wrong = error.assembly, assemblies.indices.contains(scenario),
      let origin = assemblies[scenario]
    else { return ScenarioError(path, 0, 0, error.description) }
    guard origin.isExact else {
      return ScenarioError(path, origin.line, origin.indent + 1, "asm:\(wrong)")
    }
    return ScenarioError(
      path, origin.line + wrong.line - 1, origin.indent + wrong.column, wrong.message)
  }
}
