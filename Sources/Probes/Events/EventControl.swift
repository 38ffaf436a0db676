import GuestKernel

/// An event's group and name.
struct EventName: Hashable {
  let group: String
  let event: String

  init(_ group: String, _ event: String) {
    self.group = group
    self.event = event
  }
}

// Events that exist: deleted, enabled, disabled.
//
// - SeeAlso: Linux, `kernel/trace/trace_dynevent.c`, `dyn_event_release`;
//   `kernel/trace/trace_kprobe.c`, `trace_kprobe_match`, `enable_trace_kprobe`

extension EventTracer {
  /// Does what a line of `kprobe_events` or `uprobe_events` says: a definition, or a deletion
  /// `-:[GRP/][EVENT] [PLACE]`.
  public func apply(_ line: String) throws(EventError) {
    if line.utf8.first == UInt8(ascii: "-") { try delete(line) } else { try add(line) }
  }

  /// Deletes each definition of an event, or of a group; with a place only the one there.
  ///
  /// Only disabled events can be deleted.
  private func delete(_ line: String) throws(EventError) {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
    func error(_ problem: EventProblem, _ column: Int) -> EventError {
      EventError(problem, line, column: column)
    }
    guard let head = words.first, head.hasPrefix("-:") else { throw error(.noProbeType, 1) }
    let parts = head.dropFirst(2).split(
      separator: "/", maxSplits: 1, omittingEmptySubsequences: false
    ).map(String.init)
    let group = parts.count > 1 ? parts[0] : nil
    let event = parts.last ?? ""
    guard group != nil || !event.isEmpty else { throw error(.noEventName, 2) }
    let doomed = events.definitions.indices.filter { index in
      let definition = events.definitions[index]
      return (event.isEmpty || definition.event == event)
        && (group == nil || definition.group == group)
        && (words.count < 2 || definition.isPlaced(words[1]))
    }
    guard !doomed.isEmpty else { throw error(.noSuchEvent, 2) }
    // Linux stops at the first busy one, with those before it deleted.
    for index in doomed.reversed() {
      let definition = events.definitions[index]
      if isEnabled(definition.event, group: definition.group) == true {
        throw error(.eventBusy, 2)
      }
    }
    for index in doomed.reversed() { remove(at: index) }
  }

  /// Whether an event is enabled; `nil` where there is none of this name.
  public func isEnabled(_ event: String, group: String) -> Bool? {
    states[EventName(group, event)]?.isEnabled
  }

  /// Has an event's hits seen, or not; its breaks leave the text meanwhile
  /// (`events/GRP/EVENT/enable`).
  ///
  /// - Throws: `ENOENT` for an event that does not exist.
  public func setEnabled(
    _ event: String, group: String, _ enabled: Bool
  ) throws(ProbeError) {
    guard let state = states[EventName(group, event)] else {
      throw ProbeError(.ENOENT, "there is no event \(group)/\(event)")
    }
    for (definition, probe) in zip(events.definitions, registered)
    where definition.event == event && definition.group == group {
      try setEnabled(probe, enabled)
    }
    state.isEnabled = enabled
  }
}

extension EventDefinition {
  /// Whether this is how the definition, or a listing of it, says where it is.
  fileprivate func isPlaced(_ text: String) -> Bool {
    let words = self.text.split(whereSeparator: { $0 == " " || $0 == "\t" })
    return text == placeText || words.contains { $0 == text }
  }
}
