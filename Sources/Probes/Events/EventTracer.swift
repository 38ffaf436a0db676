import Engine
import GuestKernel

/// What events ask of the world around the kernel.
public struct EventWorld {
  /// What the parser asks.
  public var names: EventNames
  /// The kernel's symbol at or before an address.
  public var symbol: (UInt64) -> KernelSymbol?
  /// The path in the guest of a file in a definition.
  public var guestPath: (String) -> String
  /// The byte of a file where a symbol of it is; the text says why there is none.
  public var fileOffset: (_ guestPath: String, _ symbol: String) -> Result<UInt64, EventReason>
  /// Where a byte of a file is, if it is inside an instruction.
  ///
  /// Deviation: Linux takes any offset, and the program then runs what is left of both.
  public var midInsn: (_ guestPath: String, _ offset: UInt64) -> String?

  /// A world of the given functions.
  public init(
    names: EventNames, symbol: @escaping (UInt64) -> KernelSymbol?,
    guestPath: @escaping (String) -> String,
    fileOffset: @escaping (String, String) -> Result<UInt64, EventReason>,
    midInsn: @escaping (String, UInt64) -> String? = { _, _ in nil }
  ) {
    self.names = names
    self.symbol = symbol
    self.guestPath = guestPath
    self.fileOffset = fileOffset
    self.midInsn = midInsn
  }
}

/// Why something in a definition leads nowhere, in a few words.
public struct EventReason: Error, Sendable, Equatable {
  /// The words.
  public var text: String
  /// A reason in these words.
  public init(_ text: String) { self.text = text }
}

/// Events: definitions become probes, and hits become lines.
///
/// Lines go to ``output`` as they come.
public final class EventTracer {
  /// The definitions.
  public private(set) var events = EventSet()
  /// Receives each line, its newline included.
  public var output: ([UInt8]) -> Void = { _ in }
  /// Receives each hit that becomes a line.
  public var observer: ((TraceRecord) -> Void)?
  /// How lines are written.
  public let format: TraceFormat

  /// Which hits of all events are seen.
  public var filter = EventFilter()

  private let probes: ProbeSubsystem
  /// What definitions ask of the world.
  public let world: EventWorld
  /// A probe for each definition.
  private(set) var registered: [Registered] = []
  /// What belongs to each event.
  private(set) var states: [EventName: EventState] = [:]
  var legacy: LegacyPolicies { probes.legacy }

  enum Registered {
    case kprobe(Kprobe)
    case kretprobe(Kretprobe)
    case uprobe(Uprobe)
  }

  /// Events on the probes of one kernel.
  public init(_ probes: ProbeSubsystem, _ world: EventWorld, format: TraceFormat = .text) {
    self.probes = probes
    self.world = world
    self.format = format
  }

  /// Reads a definition, registers its probe and enables it.
  @discardableResult
  public func add(_ text: String) throws(EventError) -> EventDefinition {
    let definition = try EventParser.parse(text, world.names)
    try events.check(definition)
    let name = EventName(definition.group, definition.event)
    let state = states[name] ?? EventState()
    let probe = try register(definition, state)
    if legacy.contains(.eventsStartDisabled) { state.isEnabled = false }
    if !state.isEnabled { try? setEnabled(probe, false) }
    try events.add(definition)
    registered.append(probe)
    states[name] = state
    return definition
  }

  func setEnabled(_ probe: Registered, _ enabled: Bool) throws(ProbeError) {
    switch probe {
    case .kprobe(let probe): try probes.setEnabled(probe, enabled)
    case .kretprobe(let probe): try probes.setEnabled(probe, enabled)
    case .uprobe(let probe): try probes.setEnabled(probe, enabled)
    }
  }

  /// Takes a definition and its probe away.
  func remove(at index: Int) {
    unregister(registered.remove(at: index))
    let gone = events.remove(at: index)
    let name = EventName(gone.group, gone.event)
    if !events.definitions.contains(where: { EventName($0.group, $0.event) == name }) {
      states[name] = nil
    }
  }

  private func unregister(_ probe: Registered) {
    switch probe {
    case .kprobe(let probe): probes.unregister(probe)
    case .kretprobe(let probe): probes.unregister(probe)
    case .uprobe(let probe): probes.unregister(probe)
    }
  }

  /// Takes all probes away; their counts stay.
  public func disable() {
    for probe in registered { unregister(probe) }
  }

  /// What was hit so far: a row an event, its places summed.
  public var hits: HitTable {
    var rows: [HitTable.Row] = []
    for (definition, probe) in zip(events.definitions, registered) {
      var row = HitTable.Row(
        group: definition.group, event: definition.event, hits: 0, missed: 0)
      switch probe {
      case .kprobe(let probe): (row.hits, row.missed) = (probe.hits, probe.nmissed)
      case .kretprobe(let probe):
        (row.hits, row.missed) = (probe.hits, probe.nmissed &+ probe.kprobe.nmissed)
      case .uprobe(let probe): (row.hits, row.missed) = (probe.hits, probe.nmissed)
      }
      if let known = rows.firstIndex(where: { $0.group == row.group && $0.event == row.event }) {
        rows[known].hits &+= row.hits
        rows[known].missed &+= row.missed
      } else {
        rows.append(row)
      }
    }
    return HitTable(rows: rows)
  }

  // MARK: Registration

  private func register(
    _ definition: EventDefinition, _ state: EventState
  ) throws(EventError) -> Registered {
    switch definition.place {
    case .symbol(let name, let offset, _):
      let offset = legacy.contains(.eventOffsetIgnored) ? 0 : offset
      return try registerKernel(.symbol(name, offset: offset), definition, state)
    case .address(let address):
      return try registerKernel(.address(address), definition, state)
    case .file(let path, let target):
      return try registerFile(world.guestPath(path), target, definition, state)
    }
  }

  private func registerKernel(
    _ place: KernelPlace, _ definition: EventDefinition, _ state: EventState
  ) throws(EventError) -> Registered {
    do throws(ProbeError) {
      guard definition.isReturn else {
        var request = KprobeRequest(place)
        if legacy.contains(.programAfterStep) {
          request.post = { [unowned self] hit in
            hit.function = hit.pc
            served(definition, state, hit, fileOffset: 0)
          }
        } else {
          request.pre = { [unowned self] hit in
            let pc = hit.pc
            served(definition, state, hit, fileOffset: 0)
            // A program went elsewhere (`bpf_override_return`).
            return hit.pc == pc ? .continue : .redirect(hit.pc)
          }
        }
        return .kprobe(try probes.registerKprobe(request))
      }
      let isFixed = legacy.contains(.fixedMaxactive)
      var request = KretprobeRequest(place, maxactive: isFixed ? 10 : definition.maxActive ?? 0)
      if !definition.entryArguments.isEmpty {
        request.entry = { hit in
          hit.data = EntryValues(definition, hit)
          return true
        }
      }
      request.ret = { [unowned self] hit in served(definition, state, hit, fileOffset: 0) }
      return .kretprobe(try probes.registerKretprobe(request))
    } catch {
      throw Self.refusal(error, definition)
    }
  }

  private func registerFile(
    _ path: String, _ target: EventDefinition.Target, _ definition: EventDefinition,
    _ state: EventState
  ) throws(EventError) -> Registered {
    let offset: UInt64
    switch target {
    case .offset(let value): offset = value
    case .symbol(let name, let plus):
      switch world.fileOffset(path, name) {
      case .success(let start): offset = start &+ plus
      case .failure(let reason): throw definition.failure(.badProbeAddr, reason.text)
      }
    }
    if let place = world.midInsn(path, offset) { throw definition.failure(.badInsnBndry, place) }
    var request = UprobeRequest(.path(path), offset: offset)
    request.referenceCounter = definition.referenceCounter ?? 0
    if definition.isReturn {
      if !definition.entryArguments.isEmpty {
        request.entry = { hit in
          hit.data = EntryValues(definition, hit)
          return .continue
        }
      }
      request.ret = { [unowned self] hit in
        served(definition, state, hit, fileOffset: offset)
      }
    } else {
      request.entry = { [unowned self] hit in
        served(definition, state, hit, fileOffset: offset)
        return .continue
      }
    }
    do {
      return .uprobe(try probes.registerUprobe(request))
    } catch {
      throw Self.refusal(error, definition)
    }
  }

  /// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `trace_kprobe_create_internal`, its end.
  private static func refusal(_ error: ProbeError, _ definition: EventDefinition) -> EventError {
    var refused = definition.failure(
      error.errno == .EILSEQ ? .badInsnBndry : .failRegProbe, error.reason)
    refused.errno = error.errno
    return refused
  }

  // MARK: Hits

  /// What a line calls task 0, whose `$comm` is `swapper/0`.
  ///
  /// - SeeAlso: Linux, `kernel/trace/trace_sched_switch.c`, `trace_find_cmdline`.
  private static let idle = Array("<idle>".utf8)

  private func served(
    _ definition: EventDefinition, _ state: EventState, _ hit: ProbeContext, fileOffset: UInt64
  ) {
    let pc = hit.pc
    // What a program sent elsewhere is not seen, as in Linux.
    if accepts(state, hit), hit.pc == pc { trace(definition, hit, fileOffset: fileOffset) }
  }

  private func trace(_ definition: EventDefinition, _ hit: ProbeContext, fileOffset: UInt64) {
    let context = HitContext(
      hit: hit, isUser: definition.isUser, userEnd: probes.kernel.isa.userEnd,
      fileBase: hit.function &- fileOffset, kernelSymbol: world.symbol)
    let arguments = definition.arguments.map {
      TraceRecord.Argument(
        name: $0.name, type: $0.program.type, value: $0.program.evaluate(context))
    }
    let record = TraceRecord(
      group: definition.group, event: definition.event, isUser: definition.isUser,
      isReturn: definition.isReturn, comm: hit.pid == 0 ? Self.idle : context.comm,
      pid: hit.pid, cpu: hit.cpu, time: hit.now, address: hit.function,
      returnAddress: hit.returnAddress, arguments: arguments)
    observer?(record)
    output(record.line(format, world.symbol))
  }
}

/// Arguments that a function was called with, kept for its return.
final class EntryValues: Archivable {
  private(set) var values: [UInt64?]

  init(_ definition: EventDefinition, _ hit: ProbeContext) {
    values = definition.entryArguments.map { hit.argument($0 + 1) }
  }

  init(placeholderFor a: Archive) { values = [] }

  func archive(_ a: Archive) { a("values", &values) }
}

/// A hit as fetch programs see it.
private struct HitContext: FetchContext {
  let hit: ProbeContext
  let isUser: Bool
  let userEnd: UInt64
  let fileBase: UInt64
  let kernelSymbol: (UInt64) -> KernelSymbol?

  func register(_ name: String) -> UInt64? { hit.register(name) }
  func argument(_ index: Int) -> UInt64? { hit.argument(index + 1) }
  func entryValue(_ index: Int) -> UInt64? {
    guard let kept = hit.data as? EntryValues, kept.values.indices.contains(index) else {
      return nil
    }
    return kept.values[index]
  }
  var returnValue: UInt64 { hit.returnValue }
  var stackPointer: UInt64 { hit.sp }
  func readKernel(_ address: UInt64, _ count: Int) -> [UInt8]? { hit.readKernel(address, count) }
  func readUser(_ address: UInt64, _ count: Int) -> [UInt8]? { hit.readUser(address, count) }
  var comm: [UInt8] { Array(hit.comm.utf8) }
  func symbol(_ address: UInt64) -> KernelSymbol? { kernelSymbol(address) }
}
