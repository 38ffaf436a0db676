/// Definitions that live together: what may be added to what is there.
///
/// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `register_trace_kprobe`,
///   `append_trace_kprobe`; `kernel/trace/trace_uprobe.c`, `append_trace_uprobe`.
public struct EventSet: Sendable {
  /// The definitions, in the order in which they came.
  public private(set) var definitions: [EventDefinition] = []

  /// No definitions.
  public init() {}

  /// Adds one: another place of an event must have the same kind and the same arguments.
  public mutating func add(_ new: EventDefinition) throws(EventError) {
    try check(new)
    definitions.append(new)
  }

  /// Takes one away.
  @discardableResult
  mutating func remove(at index: Int) -> EventDefinition { definitions.remove(at: index) }

  /// Whether ``add(_:)`` would take it.
  public func check(_ new: EventDefinition) throws(EventError) {
    let old = definitions.filter { $0.group == new.group && $0.event == new.event }
    guard let first = old.first else { return }
    func error(_ problem: EventProblem, _ column: Int) -> EventError {
      var error = new.failure(problem)
      error.column = column
      return error
    }
    guard first.isUser == new.isUser else { throw error(.eventExist, 0) }
    guard first.isReturn == new.isReturn else { throw error(.diffProbeType, 0) }
    let count = min(first.arguments.count, new.arguments.count)
    let different = (0..<count).first { index in
      let (one, other) = (first.arguments[index], new.arguments[index])
      return one.name != other.name || one.program.type.name != other.program.type.name
        || one.program.count != other.program.count
    }
    if let different { throw error(.diffArgType, new.arguments[different].column) }
    if first.arguments.count != new.arguments.count {
      let column =
        new.arguments.count > count ? new.arguments[count].column : new.text.utf8.count
      throw error(.diffArgType, column)
    }
    let same = old.contains {
      $0.place == new.place && $0.referenceCounter == new.referenceCounter
        && $0.arguments.map(\.expression) == new.arguments.map(\.expression)
    }
    if same { throw error(.sameProbe, 0) }
  }
}
