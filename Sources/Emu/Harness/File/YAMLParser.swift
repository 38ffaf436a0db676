import CLibYAML

/// Reads YAML by libyaml's events into trees; nesting and size are bounded here.
struct YAMLParser {
  private struct Open {
    var node: YAMLNode
    var anchor: String?
    var key: YAMLNode?
  }

  private let file: String
  private var documents: [YAMLNode] = []
  private var stack: [Open] = []
  private var anchors: [String: YAMLNode] = [:]
  private var count = 0

  /// The documents of a file.
  static func documents(_ bytes: [UInt8], file: String) throws(ScenarioError) -> [YAMLNode] {
    var parser = YAMLParser(file: file)
    guard bytes.count <= ScenarioLimit.file else {
      throw ScenarioError(file, 0, 0, "more than \(ScenarioLimit.file >> 20) MiB")
    }
    try parser.parse(bytes)
    return parser.documents
  }

  private init(file: String) { self.file = file }

  private mutating func parse(_ bytes: [UInt8]) throws(ScenarioError) {
    var parser = yaml_parser_t()
    guard yaml_parser_initialize(&parser) == 1 else {
      throw ScenarioError(file, 0, 0, "there is no memory to read it")
    }
    defer { yaml_parser_delete(&parser) }
    // libyaml keeps the pointer while it reads.
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    defer { copy.deallocate() }
    _ = copy.initialize(from: bytes)
    yaml_parser_set_input_string(&parser, copy.baseAddress, bytes.count)
    var isOver = false
    while !isOver {
      var event = yaml_event_t()
      guard yaml_parser_parse(&parser, &event) == 1 else { throw problem(parser) }
      defer { yaml_event_delete(&event) }
      isOver = try take(event)
    }
  }

  private func problem(_ parser: yaml_parser_t) -> ScenarioError {
    let text = parser.problem.map { String(cString: $0) } ?? "it can't be read"
    // Of bytes that are no text only their offset is known.
    guard parser.error != YAML_READER_ERROR else {
      return ScenarioError(file, 0, 0, "\(text) at byte \(parser.problem_offset)")
    }
    let mark = parser.problem_mark
    return ScenarioError(file, Int(mark.line) + 1, Int(mark.column) + 1, text)
  }

  private func string(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    bytes.map { String(cString: $0) }
  }

  /// - Returns: whether the file is at its end.
  private mutating func take(_ event: yaml_event_t) throws(ScenarioError) -> Bool {
    let mark = event.start_mark
    let (line, column) = (Int(mark.line) + 1, Int(mark.column) + 1)
    switch event.type {
    case YAML_STREAM_END_EVENT: return true
    case YAML_ALIAS_EVENT:
      let name = string(event.data.alias.anchor) ?? ""
      guard let node = anchors[name] else {
        throw ScenarioError(file, line, column, "there is no anchor '\(name)'")
      }
      try add(node, nil)
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      var node = YAMLNode(
        kind: .scalar(
          String(decoding: bytes, as: UTF8.self),
          isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), line: line, column: column)
      node.isLiteral = scalar.style == YAML_LITERAL_SCALAR_STYLE
      try add(node, string(scalar.anchor))
    case YAML_SEQUENCE_START_EVENT:
      try open(.sequence([]), line, column, string(event.data.sequence_start.anchor))
    case YAML_MAPPING_START_EVENT:
      try open(.mapping([]), line, column, string(event.data.mapping_start.anchor))
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
      if let done = stack.popLast() { try add(done.node, done.anchor) }
    default: break
    }
    return false
  }

  private mutating func open(
    _ kind: YAMLNode.Kind, _ line: Int, _ column: Int, _ anchor: String?
  ) throws(ScenarioError) {
    guard stack.count < ScenarioLimit.depth else {
      throw ScenarioError(
        file, line, column, "more than \(ScenarioLimit.depth) levels of nesting")
    }
    stack.append(Open(node: YAMLNode(kind: kind, line: line, column: column), anchor: anchor))
  }

  private mutating func add(_ node: YAMLNode, _ anchor: String?) throws(ScenarioError) {
    if let anchor { anchors[anchor] = node }
    guard var parent = stack.popLast() else {
      guard documents.count < ScenarioLimit.documents else {
        throw ScenarioError(
          file, node.line, node.column, "more than \(ScenarioLimit.documents) scenarios")
      }
      documents.append(node)
      anchors = [:]
      return
    }
    let size = parent.node.size + node.size
    guard size <= ScenarioLimit.nodes else {
      throw ScenarioError(
        file, node.line, node.column, "more than \(ScenarioLimit.nodes) values")
    }
    parent.node.size = size
    switch parent.node.kind {
    case .sequence(var list):
      // Taken out first, so that the list is not copied.
      parent.node.kind = .sequence([])
      list.append(node)
      parent.node.kind = .sequence(list)
    case .mapping(var pairs):
      guard let key = parent.key else {
        parent.key = node
        break
      }
      parent.node.kind = .mapping([])
      pairs.append((key, node))
      parent.node.kind = .mapping(pairs)
      parent.key = nil
    case .scalar: break
    }
    stack.append(parent)
  }
}
