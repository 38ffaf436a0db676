import Engine
import GuestKernel
import Machine
import Probes

/// Trees to scenarios: every key is known, every value of its type.
struct ScenarioReader {
  let file: String
  let lines: [ArraySlice<UInt8>]

  func error(_ node: YAMLNode, _ message: String) -> ScenarioError {
    ScenarioError(file, node.line, node.column, message)
  }

  /// Calls `body` for each key of a mapping.
  func fields(
    _ node: YAMLNode, _ keys: ScenarioKeys,
    _ body: (_ key: String, _ value: YAMLNode) throws(ScenarioError) -> Void
  ) throws(ScenarioError) {
    guard case .mapping(let pairs) = node.kind else {
      throw error(node, "a mapping is wanted here (\(keys.name)), not \(node.typeName)")
    }
    var seen: Set<String> = []
    for (key, value) in pairs {
      guard case .scalar(let name, _) = key.kind else {
        throw error(key, "a key is wanted here, not \(key.typeName)")
      }
      guard keys.keys.contains(where: { $0.name == name }) else {
        let meant = keys.suggestion(for: name).map { "; did you mean '\($0)'?" }
        throw error(
          key, "unknown key '\(name)'" + (meant ?? ""))
      }
      guard seen.insert(name).inserted else { throw error(key, "'\(name)' is there twice") }
      try body(name, value)
    }
  }

  // MARK: Types

  func text(_ node: YAMLNode) throws(ScenarioError) -> String {
    guard case .scalar(let text, _) = node.kind else {
      throw error(node, "a text is wanted here, not \(node.typeName)")
    }
    return text
  }

  func number(_ node: YAMLNode) throws(ScenarioError) -> UInt64 {
    let text = try text(node)
    if let value = Quantity.count(text) { return value }
    if text.hasPrefix("-"), let value = Quantity.number(String(text.dropFirst())), value <= 1 << 63
    {
      return 0 &- value
    }
    throw error(node, "'\(text)' is no number")
  }

  func number(
    _ node: YAMLNode, in range: ClosedRange<UInt64>
  ) throws(ScenarioError) -> UInt64 {
    let value = try number(node)
    guard range.contains(value) else {
      throw error(node, "\(try text(node)) is not from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  func list(_ node: YAMLNode) throws(ScenarioError) -> [YAMLNode] {
    guard case .sequence(let nodes) = node.kind else {
      throw error(node, "a list is wanted here, not \(node.typeName)")
    }
    return nodes
  }

  /// A text, or a list of them.
  func texts(_ node: YAMLNode) throws(ScenarioError) -> [String] {
    if case .scalar(let text, _) = node.kind { return [text] }
    var found: [String] = []
    for item in try list(node) { found.append(try text(item)) }
    return found
  }

  /// A mapping whose keys are free.
  func pairs(_ node: YAMLNode) throws(ScenarioError) -> [(key: String, value: YAMLNode)] {
    guard case .mapping(let pairs) = node.kind else {
      throw error(node, "a mapping is wanted here, not \(node.typeName)")
    }
    var found: [(String, YAMLNode)] = []
    var seen: Set<String> = []
    for (key, value) in pairs {
      let name = try text(key)
      guard seen.insert(name).inserted else { throw error(key, "'\(name)' is there twice") }
      found.append((name, value))
    }
    return found
  }

  func numbers(_ node: YAMLNode) throws(ScenarioError) -> [String: UInt64] {
    var found: [String: UInt64] = [:]
    for (key, value) in try pairs(node) { found[key] = try number(value) }
    return found
  }

  /// One of some names.
  func choice<Value>(
    _ node: YAMLNode, _ values: [(name: String, value: Value)]
  ) throws(ScenarioError) -> Value {
    let text = try text(node)
    if let found = values.first(where: { $0.name == text }) { return found.value }
    let keys = ScenarioKeys(
      name: "", keys: values.map { ScenarioKey($0.name, "", "") })
    if let near = keys.suggestion(for: text) {
      throw error(node, "unknown '\(text)'; did you mean '\(near)'?")
    }
    let names = values.count <= 10 ? values.map(\.name).joined(separator: ", ") : "another name"
    throw error(node, "unknown '\(text)': \(names) is wanted")
  }

  func choice<Value: RawRepresentable & CaseIterable>(
    _ node: YAMLNode
  ) throws(ScenarioError) -> Value where Value.RawValue == String {
    try choice(node, Value.allCases.map { ($0.rawValue, $0) })
  }

  /// A path from the scenario file's folder.
  func path(_ node: YAMLNode) throws(ScenarioError) -> String {
    let text = try text(node)
    guard !text.isEmpty, !text.utf8.contains(0) else { throw error(node, "a path is wanted") }
    guard !text.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return text }
    return file[...slash] + text
  }

  // MARK: The scenario

  /// One scenario, or one for each guest that its text is there for.
  func scenarios(
    _ node: YAMLNode, number: Int?
  ) throws(ScenarioError) -> [(Scenario, ScenarioFile.AssemblyOrigin?)] {
    var scenario = Scenario(Self.name(of: file, number), assembly: "")
    var assembly: [(guest: Guest?, node: YAMLNode)] = []
    var namesGuest = false
    var subjects = 0
    try fields(node, .scenario) { (key, value) throws(ScenarioError) in
      switch key {
      case "name": scenario.name = try name(value)
      case "description": _ = try text(value)
      case "machine":
        scenario.machine = try machine(value)
        namesGuest = try pairs(value).contains { $0.key == "guest" }
      case "asm":
        assembly = try assemblies(value)
        subjects += 1
      case "program":
        scenario.subject = .file(try path(value))
        subjects += 1
      case "arguments": scenario.arguments = try texts(value)
      case "environment":
        for (name, value) in try pairs(value) {
          scenario.environment.append("\(name)=\(try text(value))")
        }
      case "input": scenario.input = Array(try text(value).utf8)
      case "files": scenario.files = try files(value)
      case "probes": try probes(value, &scenario)
      case "legacy":
        for item in try list(value) {
          scenario.legacy.insert(
            try choice(item, LegacyPolicies.named.map { ($0.name, $0.policy) }))
        }
      case "limit": scenario.limit = try self.number(value, in: 1...1_000_000_000_000)
      case "stops": scenario.stops = try stops(value)
      case "expect": scenario.expect = try expectations(value)
      case "expect-failure":
        let wanted = try text(value)
        guard !wanted.isEmpty else { throw error(value, "a part of a message is wanted") }
        scenario.expectedFailure = wanted
      default: throw error(value, "'\(key)' can't be read")
      }
    }
    guard subjects == 1 else {
      throw error(
        node, subjects == 0 ? "'asm' or 'program' is missing" : "'asm' or 'program', not both")
    }
    if assembly.isEmpty { return [(scenario, nil)] }
    var found: [(Scenario, ScenarioFile.AssemblyOrigin?)] = []
    for (guest, node) in assembly {
      var one = scenario
      one.subject = .assembly(try text(node))
      if let guest {
        if namesGuest { throw error(node, "'machine' has a guest already") }
        one.machine.guest = guest
        one.name += " (\(guest))"
      }
      found.append((one, origin(of: node)))
    }
    return found
  }

  /// The text, or the texts for several guests.
  private func assemblies(
    _ node: YAMLNode
  ) throws(ScenarioError) -> [(guest: Guest?, node: YAMLNode)] {
    guard case .mapping = node.kind else {
      _ = try text(node)
      return [(nil, node)]
    }
    var found: [(Guest?, YAMLNode)] = []
    for (name, value) in try pairs(node) {
      guard let guest = Guest(rawValue: name) else {
        let names = Guest.all.map(\.rawValue).joined(separator: ", ")
        throw error(value, "unknown guest '\(name)': \(names) are there")
      }
      _ = try text(value)
      found.append((guest, value))
    }
    guard !found.isEmpty else { throw error(node, "a text is wanted here") }
    return found
  }

  private func name(_ node: YAMLNode) throws(ScenarioError) -> String {
    let name = try text(node)
    guard !name.isEmpty, name.utf8.count <= 200, name.unicodeScalars.allSatisfy({ $0.value >= 32 })
    else { throw error(node, "a name is one line of at most 200 bytes") }
    return name
  }

  private static func name(of file: String, _ number: Int?) -> String {
    var name = file.split(separator: "/").last.map(String.init) ?? file
    for end in [".yaml", ".yml"] where name.hasSuffix(end) { name.removeLast(end.count) }
    return number.map { "\(name) \($0)" } ?? name
  }

  /// Where the lines of a `|` block are.
  private func origin(of node: YAMLNode) -> ScenarioFile.AssemblyOrigin {
    let first = node.line
    guard node.isLiteral, lines.indices.contains(first),
      let line = lines[first...].first(where: { $0.contains { $0 != 0x20 && $0 != 0x0d } })
    else {
      return ScenarioFile.AssemblyOrigin(
        line: node.line, indent: node.column - 1, isExact: false)
    }
    return ScenarioFile.AssemblyOrigin(
      line: first + 1, indent: line.prefix { $0 == 0x20 }.count, isExact: true)
  }

  private func machine(_ node: YAMLNode) throws(ScenarioError) -> Scenario.Machine {
    var machine = Scenario.Machine()
    try fields(node, .machine) { (key, value) throws(ScenarioError) in
      switch key {
      case "guest": machine.guest = try choice(value)
      case "board": machine.board = try choice(value)
      case "memory":
        guard let bytes = Quantity.bytes(try text(value)), bytes >= 4 << 20, bytes <= 8 << 30
        else { throw error(value, "4M to 8G is wanted") }
        machine.memory = bytes
      case "caches": machine.caches = try choice(value)
      case "engine": machine.engine = try choice(value)
      case "harts": machine.harts = Int(try number(value, in: 1...64))
      case "entry": machine.entry = try choice(value)
      default: throw error(value, "'\(key)' can't be read")
      }
    }
    if machine.board == .linux, machine.harts != 1 || machine.entry != .auto {
      throw error(node, "'harts' and 'entry' are for 'board: bare'")
    }
    return machine
  }

  private func files(_ node: YAMLNode) throws(ScenarioError) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for (path, value) in try pairs(node) {
      guard path.hasPrefix("/") else { throw error(value, "'\(path)' is no absolute path") }
      guard case .mapping(let pairs) = value.kind else {
        files[path] = Array(try text(value).utf8)
        continue
      }
      guard pairs.count == 1, let pair = pairs.first, try text(pair.key) == "from" else {
        throw error(value, "a text or {from: PATH} is wanted")
      }
      do {
        files[path] = try Host.contents(of: try self.path(pair.value), limit: 1 << 28)
      } catch let problem as HostFileError {
        throw error(pair.value, problem.description)
      } catch {
        throw self.error(pair.value, "\(error)")
      }
    }
    return files
  }

  private func probes(_ node: YAMLNode, _ scenario: inout Scenario) throws(ScenarioError) {
    if case .scalar("every-insn", _) = node.kind {
      scenario.probesEveryInsn = true
      return
    }
    for item in try list(node) {
      if case .scalar(let definition, _) = item.kind {
        scenario.probes.append(Scenario.Probe(definition))
        continue
      }
      var probe = Scenario.Probe("")
      try fields(item, .probe) { (key, value) throws(ScenarioError) in
        switch key {
        case "define": probe.definition = try text(value)
        case "refused": probe.refused = try choice(value, Errno.allCases.map { ("\($0)", "\($0)") })
        case "action": probe.action = try action(value)
        default: throw error(value, "'\(key)' can't be read")
        }
      }
      guard !probe.definition.isEmpty else { throw error(item, "'define' is missing") }
      scenario.probes.append(probe)
    }
  }

  private func action(_ node: YAMLNode) throws(ScenarioError) -> Scenario.Probe.Action {
    var actions: [Scenario.Probe.Action] = []
    try fields(node, .action) { (key, value) throws(ScenarioError) in
      switch key {
      case "set": actions.append(.set(try numbers(value)))
      case "override": actions.append(.override(try number(value)))
      case "redirect": actions.append(.redirect(try text(value)))
      case "skip":
        guard try text(value) == "true" else { throw error(value, "'true' is wanted") }
        actions.append(.skip)
      default: throw error(value, "'\(key)' can't be read")
      }
    }
    guard let action = actions.first, actions.count == 1 else {
      throw error(node, "one action is wanted")
    }
    return action
  }
}
