import GuestKernel

extension Rig {
  /// What of a scenario's expectations did not come out, a line or a few each.
  ///
  /// - Parameter outcome: what came of the run.
  /// - Returns: what was expected and what was seen; nothing where all is well.
  public func check(_ outcome: Outcome) -> [String] {
    let expect = prepared.scenario.expect
    var failures = outcome.failures
    failures += ending(expect, outcome)
    if let text = expect.output {
      failures += Self.differences("output", text, outcome.output)
    }
    if let text = expect.errors {
      failures += Self.differences("standard error", text, outcome.errors)
    }
    if let text = expect.log {
      failures += Self.differences(
        "log", text, Array(outcome.log.map { $0 + "\n" }.joined().utf8))
    }
    failures += hits(expect, outcome)
    failures += events(expect, outcome)
    failures += differences(registers: expect.registers, memory: expect.memory, hart: 0)
    for (name, bounds) in expect.counters.sorted(by: { $0.key < $1.key }) {
      guard let value = outcome.counters[name] ?? (name.hasPrefix("syscalls.") ? 0 : nil) else {
        failures.append("there is no counter '\(name)'")
        continue
      }
      if !bounds.contains(value) {
        failures.append("counter \(name): expected \(bounds), seen \(value)")
      }
    }
    return failures
  }

  private func ending(_ expect: Expectations, _ outcome: Outcome) -> [String] {
    var failures: [String] = []
    let isSame: Bool
    if case .panic(let wanted) = expect.exit, case .panic(let seen) = outcome.ending {
      isSame = wanted.isEmpty || seen.contains(wanted)
    } else {
      isSame = expect.exit == outcome.ending
    }
    if !isSame {
      var seen = outcome.ending.description
      if let fault = outcome.fault, let linux { seen += " at \(linux.describe(fault))" }
      if let address = outcome.fault?.address {
        seen += ", address 0x\(String(address, radix: 16))"
      }
      failures.append("the end: expected \(expect.exit), seen \(seen)")
    }
    if let place = expect.faultPlace {
      let seen = outcome.fault.map { faultPlace($0) } ?? "no fault"
      if seen != place { failures.append("the fault: expected at \(place), seen \(seen)") }
    }
    if let address = expect.faultAddress, outcome.fault?.address != address {
      let seen = outcome.fault?.address.map { "0x\(String($0, radix: 16))" } ?? "none"
      failures.append(
        "the fault's address: expected 0x\(String(address, radix: 16)), seen \(seen)")
    }
    return failures
  }

  private func faultPlace(_ fault: FatalSignal) -> String {
    let text = linux?.describe(fault) ?? ""
    guard let open = text.firstIndex(of: "("), text.last == ")" else { return text }
    return String(text[text.index(after: open)...].dropLast())
  }

  // MARK: Text

  static func differences(
    _ what: String, _ expect: TextExpectation, _ seen: [UInt8]
  ) -> [String] {
    var failures: [String] = []
    if let wanted = expect.exactly, wanted != seen {
      let at = zip(wanted, seen).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      let place = at ?? min(wanted.count, seen.count)
      let line = seen.prefix(place).reduce(1) { $1 == 10 ? $0 + 1 : $0 }
      failures.append(
        "\(what): first difference in line \(line), byte \(place)\n"
          + "  expected \(quoted(wanted, around: place))\n  seen     \(quoted(seen, around: place))"
      )
    }
    let text = String(decoding: seen, as: UTF8.self)
    var rest = text[...]
    for part in expect.contains {
      guard let found = rest.firstRange(of: part) else {
        let order = text.contains(part) ? " behind the parts before it" : ""
        failures.append(
          "\(what): expected to contain \(quoted(Array(part.utf8)))\(order), seen "
            + quoted(seen, around: 0))
        break
      }
      rest = rest[found.upperBound...]
    }
    for part in expect.lacks where text.contains(part) {
      failures.append("\(what): expected not to contain \(quoted(Array(part.utf8)))")
    }
    return failures
  }

  /// Some bytes of a text around a place, in quotes.
  private static func quoted(_ bytes: [UInt8], around place: Int = 0) -> String {
    let start = max(place - 20, 0)
    let shown = bytes.dropFirst(start).prefix(80)
    var text = start > 0 ? "...\"" : "\""
    for scalar in String(decoding: shown, as: UTF8.self).unicodeScalars {
      switch scalar {
      case "\n": text += "\\n"
      case "\"": text += "\\\""
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        text += "\\x" + String(scalar.value, radix: 16)
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\"" + (start + 80 < bytes.count ? "..." : "")
  }

  // MARK: Hits

  private func hits(_ expect: Expectations, _ outcome: Outcome) -> [String] {
    var failures: [String] = []
    func row(_ name: String) -> (hits: UInt64, missed: UInt64)? {
      outcome.table.first { $0.event == name }.map { ($0.hits, $0.missed) }
    }
    let known = outcome.table.map(\.event).joined(separator: ", ")
    let names = Set(expect.hits.keys).union(expect.misses.keys).sorted()
    for name in names where row(name) == nil {
      failures.append("there is no event '\(name)'; there are: \(known.isEmpty ? "none" : known)")
    }
    for (name, bounds) in expect.hits.sorted(by: { $0.key < $1.key }) {
      guard let row = row(name), !bounds.contains(row.hits) else { continue }
      let last = outcome.hits.last { $0.event == name }
      let place = last.map { "; the last: \($0.text) at \(describe($0.address))" } ?? ""
      failures.append("hits of '\(name)': expected \(bounds), seen \(row.hits)\(place)")
    }
    for row in outcome.table {
      let bounds = expect.misses[row.event] ?? 0
      if !bounds.contains(row.missed) {
        failures.append("missed of '\(row.event)': expected \(bounds), seen \(row.missed)")
      }
    }
    return failures
  }

  private func events(_ expect: Expectations, _ outcome: Outcome) -> [String] {
    func fits(_ wanted: HitExpectation, _ hit: Hit) -> Bool {
      hit.event == wanted.event && wanted.pid.map { $0 == hit.pid } ?? true
        && wanted.arguments.allSatisfy { hit[$0.key] == $0.value }
    }
    func text(_ wanted: HitExpectation) -> String {
      let arguments = wanted.arguments.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      return ([wanted.event] + arguments + (wanted.pid.map { ["(pid \($0))"] } ?? []))
        .joined(separator: " ")
    }
    if expect.eventsAreAll {
      for (index, wanted) in expect.events.enumerated() {
        guard index < outcome.hits.count else {
          return ["event \(index + 1): expected \(text(wanted)), seen no more hits"]
        }
        if !fits(wanted, outcome.hits[index]) {
          return ["event \(index + 1): expected \(text(wanted)), seen \(outcome.hits[index].text)"]
        }
      }
      guard outcome.hits.count > expect.events.count else { return [] }
      return [
        "events: expected \(expect.events.count), seen \(outcome.hits.count); the next: "
          + outcome.hits[expect.events.count].text
      ]
    }
    var at = 0
    for (index, wanted) in expect.events.enumerated() {
      guard let found = outcome.hits[at...].firstIndex(where: { fits(wanted, $0) }) else {
        let near =
          outcome.hits[at...].first { $0.event == wanted.event } ?? outcome.hits[at...].first
        return [
          "event \(index + 1): expected \(text(wanted)), seen "
            + (near.map(\.text) ?? "no more hits")
            + (at > 0 ? " behind \(outcome.hits[at - 1].text)" : "")
        ]
      }
      at = found + 1
    }
    return []
  }

  // MARK: State

  func differences(
    registers: [String: UInt64], memory wanted: [MemoryExpectation], hart: Int
  ) -> [String] {
    var failures: [String] = []
    func hex(_ value: UInt64) -> String { "0x\(String(value, radix: 16))" }
    for (name, value) in registers.sorted(by: { $0.key < $1.key }) {
      guard let seen = register(name, hart: hart) else {
        failures.append("there is no register '\(name)'")
        continue
      }
      if seen != value {
        failures.append("register \(name): expected \(hex(value)), seen \(hex(seen))")
      }
    }
    for expectation in wanted {
      guard let address = address(of: expectation.place) else {
        failures.append("there is no place '\(expectation.place)'")
        continue
      }
      guard let seen = memory(address, expectation.bytes.count) else {
        failures.append("memory at \(describe(address)): it is not there")
        continue
      }
      if seen != expectation.bytes {
        func text(_ bytes: [UInt8]) -> String {
          bytes.prefix(32).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            .joined(separator: " ") + (bytes.count > 32 ? " ..." : "")
        }
        failures.append(
          "memory at \(describe(address)): expected \(text(expectation.bytes)), "
            + "seen \(text(seen))")
      }
    }
    return failures
  }
}
