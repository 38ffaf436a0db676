import GuestKernel
import Machine

extension ScenarioReader {
  func stops(_ node: YAMLNode) throws(ScenarioError) -> [Scenario.Stop] {
    var stops: [Scenario.Stop] = []
    for item in try list(node) {
      var stop = Scenario.Stop("")
      try fields(item, .stop) { (key, value) throws(ScenarioError) in
        switch key {
        case "at": stop.place = try text(value)
        case "nth": stop.nth = try number(value, in: 1...UInt64.max)
        case "registers": stop.registers = try numbers(value)
        case "memory": stop.memory = try memory(value)
        default: throw error(value, "'\(key)' can't be read")
        }
      }
      guard !stop.place.isEmpty else { throw error(item, "'at' is missing") }
      stops.append(stop)
    }
    return stops
  }

  func expectations(_ node: YAMLNode) throws(ScenarioError) -> Expectations {
    var expect = Expectations()
    var hasEvents = false
    try fields(node, .expect) { (key, value) throws(ScenarioError) in
      switch key {
      case "exit": expect.exit = try ending(value)
      case "output": expect.output = try textExpectation(value)
      case "errors": expect.errors = try textExpectation(value)
      case "log": expect.log = try textExpectation(value)
      case "fault":
        try fields(value, .fault) { (key, value) throws(ScenarioError) in
          switch key {
          case "at": expect.faultPlace = try text(value)
          default: expect.faultAddress = try number(value)
          }
        }
      case "hits": expect.hits = try counts(value)
      case "missed": expect.misses = try counts(value)
      case "events", "only-events":
        guard !hasEvents else { throw error(value, "'events' or 'only-events', not both") }
        hasEvents = true
        expect.eventsAreAll = key == "only-events"
        expect.events = try hits(value)
      case "registers": expect.registers = try numbers(value)
      case "memory": expect.memory = try memory(value)
      case "counters": expect.counters = try counts(value)
      case "differs":
        guard try text(value) == "none" else { throw error(value, "'none' is wanted") }
        expect.isTransparent = true
      default: throw error(value, "'\(key)' can't be read")
      }
    }
    return expect
  }

  private func ending(_ node: YAMLNode) throws(ScenarioError) -> Ending {
    let text = try text(node)
    switch text {
    case "limit": return .limit
    case "stuck": return .stuck
    case "reset": return .reset
    case "panic": return .panic("")
    default: break
    }
    if let signal = (Int32(1)...64).first(where: { Signal.name($0) == text }) {
      return .signal(signal)
    }
    guard let status = Quantity.number(text), status < 256 else {
      throw error(
        node,
        "'\(text)' is no status from 0 to 255, signal, 'limit', 'stuck', 'reset' or "
          + "'panic'")
    }
    return .status(Int32(status))
  }

  private func textExpectation(_ node: YAMLNode) throws(ScenarioError) -> TextExpectation {
    var expect = TextExpectation()
    if case .scalar(let text, _) = node.kind {
      expect.exactly = Array(text.utf8)
      return expect
    }
    try fields(node, .text) { (key, value) throws(ScenarioError) in
      switch key {
      case "exactly": expect.exactly = Array(try text(value).utf8)
      case "contains": expect.contains = try texts(value)
      case "lacks": expect.lacks = try texts(value)
      default: throw error(value, "'\(key)' can't be read")
      }
    }
    return expect
  }

  private func counts(_ node: YAMLNode) throws(ScenarioError) -> [String: Bounds] {
    var found: [String: Bounds] = [:]
    for (name, value) in try pairs(node) {
      guard case .mapping = value.kind else {
        let count = try number(value)
        found[name] = Bounds(count, through: count)
        continue
      }
      var bounds = Bounds(0, through: .max)
      try fields(value, .count) { (key, value) throws(ScenarioError) in
        switch key {
        case "at-least": bounds.least = try number(value)
        default: bounds.most = try number(value)
        }
      }
      guard bounds.least <= bounds.most else {
        throw error(value, "no number is at least \(bounds.least) and at most \(bounds.most)")
      }
      found[name] = bounds
    }
    return found
  }

  private func hits(_ node: YAMLNode) throws(ScenarioError) -> [HitExpectation] {
    var hits: [HitExpectation] = []
    for item in try list(node) {
      if case .scalar(let name, _) = item.kind {
        hits.append(HitExpectation(name))
        continue
      }
      var hit = HitExpectation("")
      try fields(item, .hit) { (key, value) throws(ScenarioError) in
        switch key {
        case "event": hit.event = try text(value)
        case "args":
          for (name, value) in try pairs(value) { hit.arguments[name] = try text(value) }
        case "pid": hit.pid = Int32(try number(value, in: 0...UInt64(Int32.max)))
        default: throw error(value, "'\(key)' can't be read")
        }
      }
      guard !hit.event.isEmpty else { throw error(item, "'event' is missing") }
      hits.append(hit)
    }
    return hits
  }

  func memory(_ node: YAMLNode) throws(ScenarioError) -> [MemoryExpectation] {
    var found: [MemoryExpectation] = []
    for item in try list(node) {
      var place: String?
      var contents: [[UInt8]] = []
      func sized<T: FixedWidthInteger & UnsignedInteger>(
        _ type: T.Type, _ value: YAMLNode
      ) throws(ScenarioError) {
        let number = try number(value)
        guard T(exactly: number) != nil || Int64(bitPattern: number) < 0 else {
          throw error(value, "\(number) does not fit into \(T.bitWidth / 8) bytes")
        }
        contents.append(MemoryExpectation("", T(truncatingIfNeeded: number)).bytes)
      }
      try fields(item, .memory) { (key, value) throws(ScenarioError) in
        switch key {
        case "at": place = try text(value)
        case "u8": try sized(UInt8.self, value)
        case "u16": try sized(UInt16.self, value)
        case "u32": try sized(UInt32.self, value)
        case "u64": try sized(UInt64.self, value)
        case "bytes": contents.append(try hex(value))
        case "text": contents.append(Array(try text(value).utf8))
        default: throw error(value, "'\(key)' can't be read")
        }
      }
      guard let place, let bytes = contents.first, contents.count == 1 else {
        throw error(item, "'at' and one of u8, u16, u32, u64, bytes and text are wanted")
      }
      found.append(MemoryExpectation(place, bytes))
    }
    return found
  }

  private func hex(_ node: YAMLNode) throws(ScenarioError) -> [UInt8] {
    let digits = try text(node).filter { $0 != " " && $0 != "\n" }
    var bytes: [UInt8] = []
    var rest = digits[...]
    while rest.count >= 2, let byte = UInt8(rest.prefix(2), radix: 16), rest.first != "+" {
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    guard rest.isEmpty, !bytes.isEmpty else {
      throw error(node, "pairs of hex digits are wanted")
    }
    return bytes
  }
}
