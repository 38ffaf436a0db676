import GuestKernel

/// What a program was made to be run by (`enum bpf_prog_type`).
public enum EventProgramType: Sendable, Hashable {
  /// Probes of all kinds (`BPF_PROG_TYPE_KPROBE`): what it is given are the saved registers.
  case kprobe
  /// Static tracepoints (`BPF_PROG_TYPE_TRACEPOINT`).
  case tracepoint
  /// Static tracepoints, their arguments untouched (`BPF_PROG_TYPE_RAW_TRACEPOINT`).
  case rawTracepoint
  /// Samples of counters (`BPF_PROG_TYPE_PERF_EVENT`).
  case perfEvent
  /// Packets of a socket (`BPF_PROG_TYPE_SOCKET_FILTER`).
  case socketFilter
}

/// A program that is run when an event is hit: eBPF's, or a closure's.
///
/// At a probe of an instruction it runs before the instruction, with pc = the probed address; at a
/// return probe with pc = where the function returns to. It may change the pc, and the instruction is
/// then skipped.
///
/// - SeeAlso: Linux, `kernel/trace/bpf_trace.c`, `trace_call_bpf`; `kernel/trace/trace_kprobe.c`,
///   `kprobe_perf_func`
public protocol EventProgram: AnyObject {
  /// What it was made for.
  var type: EventProgramType { get }
  /// Serves a hit.
  ///
  /// - Returns: 0 where the event is not to be seen by anybody.
  func run(_ hit: ProbeContext) -> UInt64
}

/// A program that is a Swift function.
public final class ClosureProgram: EventProgram {
  /// What it was made for.
  public let type: EventProgramType
  private let body: (ProbeContext) -> UInt64

  /// A program that calls `body`.
  public init(_ type: EventProgramType = .kprobe, _ body: @escaping (ProbeContext) -> UInt64) {
    self.type = type
    self.body = body
  }

  /// Calls it.
  public func run(_ hit: ProbeContext) -> UInt64 { body(hit) }
}

/// Which hits of an event are seen: by task and by hart, as `perf_event_open` takes them.
///
/// Counters of hits count the others too (`kprobe_profile`).
public struct EventFilter: Sendable, Equatable {
  /// The tasks, by what trace lines show; `nil`: all.
  public var pids: Set<Int32>?
  /// The harts; `nil`: all.
  public var cpus: Set<Int>?

  /// A filter for the given tasks and harts.
  public init(pids: Set<Int32>? = nil, cpus: Set<Int>? = nil) {
    self.pids = pids
    self.cpus = cpus
  }

  func accepts(_ hit: ProbeContext) -> Bool {
    (pids?.contains(hit.pid) ?? true) && (cpus?.contains(hit.cpu) ?? true)
  }
}

/// What belongs to an event, whatever the number of its places.
final class EventState {
  var programs: [any EventProgram] = []
  var filter = EventFilter()
  var isEnabled = true
}

extension EventTracer {
  /// Most programs of one event.
  ///
  /// - SeeAlso: Linux, `kernel/trace/bpf_trace.c`, `BPF_TRACE_MAX_PROGS`
  public static let programLimit = 64

  /// Has `program` run at each hit of an event, after those that were attached before.
  ///
  /// The hit is seen only if each of them returns something else than 0.
  ///
  /// - Throws: `ENOENT` for an event that does not exist, `EINVAL` for a program of another type,
  ///   `EEXIST` where it is attached already, `E2BIG` where there are ``programLimit``.
  /// - SeeAlso: Linux, `kernel/events/core.c`, `perf_event_set_bpf_prog`;
  ///   `kernel/trace/bpf_trace.c`, `perf_event_attach_bpf_prog`
  public func attach(
    _ program: any EventProgram, to event: String, group: String
  ) throws(ProbeError) {
    let state = try known(event, group)
    guard program.type == .kprobe || legacy.contains(.programTypeUnchecked) else {
      throw ProbeError(.EINVAL, "a program of type \(program.type) is not for probes")
    }
    guard !state.programs.contains(where: { $0 === program }) else {
      throw ProbeError(.EEXIST, "the program is attached already")
    }
    guard state.programs.count < Self.programLimit else {
      throw ProbeError(.E2BIG, "the event has \(Self.programLimit) programs")
    }
    state.programs.append(program)
  }

  /// Has `program` not run any more.
  ///
  /// - Throws: `ENOENT` where it is not attached.
  public func detach(
    _ program: any EventProgram, from event: String, group: String
  ) throws(ProbeError) {
    let state = try known(event, group)
    guard let index = state.programs.firstIndex(where: { $0 === program }) else {
      throw ProbeError(.ENOENT, "the program is not attached")
    }
    state.programs.remove(at: index)
  }

  /// Says which hits of an event are seen.
  ///
  /// - Throws: `ENOENT` for an event that does not exist.
  public func setFilter(
    _ filter: EventFilter, of event: String, group: String
  ) throws(ProbeError) {
    try known(event, group).filter = filter
  }

  private func known(_ event: String, _ group: String) throws(ProbeError) -> EventState {
    guard let state = states[EventName(group, event)] else {
      throw ProbeError(.ENOENT, "there is no event \(group)/\(event)")
    }
    return state
  }

  /// Whether a hit is to be seen: asks filters, then runs programs.
  func accepts(_ state: EventState, _ hit: ProbeContext) -> Bool {
    let legacy = legacy
    if !legacy.contains(.eventFiltersIgnored) {
      guard filter.accepts(hit), state.filter.accepts(hit) else { return false }
    }
    var accepted = true
    for program in state.programs where program.run(hit) == 0 { accepted = false }
    return accepted || legacy.contains(.programResultIgnored)
  }
}
