import Engine
import GuestKernel

/// Events without probes: a hart's observer sees when it comes to a place, and nothing in the guest is
/// changed, not even which of its pages are present.
///
/// That is what a replay needs, whose counts must be those of the recording. Memory that is not
/// present can't be fetched, where a probe's handler would have had it paged in.
public final class EventWatcher: InsnObserver {
  /// Receives each line, its newline included.
  public var output: ([UInt8]) -> Void = { _ in }
  /// How lines are written.
  public let format: TraceFormat

  private let kernel: Kernel
  private let isa: any ProbeISA
  private let world: EventWorld
  private var events = EventSet()
  private var places: [Place] = []
  /// Offsets in a page at which something is to be seen.
  private var offsets: Set<UInt64> = []
  /// What the hart's registers are in a frame: offset and slot.
  private let registers: [(offset: Int, slot: Int)]
  private let trace: any TraceISA
  private let frame: UnsafeMutableRawPointer
  private var calls: [Int32: [Call]] = [:]
  /// What each task was seen at last.
  private var last: [Int32: Sight] = [:]

  private struct Sight {
    var pc: UInt64
    var exceptions: UInt64
    var retired: UInt64
  }

  private struct Place {
    var definition: EventDefinition
    /// An address of the kernel, or an offset in a file.
    var at: UInt64
    /// The file, by its path in the guest.
    var path: String?
    var hits: UInt64 = 0
  }

  /// A call whose return is awaited.
  private struct Call {
    var place: Int
    var function: UInt64
    var fileBase: UInt64
    var returnAddress: UInt64
    var sp: UInt64
    var entry: [UInt64?]
  }

  /// Events on a kernel whose hart is to be observed by this object.
  ///
  /// - Parameters:
  ///   - kernel: the kernel.
  ///   - isa: what must be known of its instruction set.
  ///   - trace: where the hart keeps the registers, by their names in a frame.
  ///   - world: what the definitions ask.
  ///   - format: how lines are written.
  public init(
    _ kernel: Kernel, _ isa: any ProbeISA, _ trace: any TraceISA, _ world: EventWorld,
    format: TraceFormat
  ) {
    self.kernel = kernel
    self.isa = isa
    self.world = world
    self.format = format
    self.trace = trace
    registers = trace.registers.compactMap { slot in
      isa.registerOffset(slot.name).map { (offset: $0, slot: slot.slot) }
    }
    let size = kernel.isa.ptRegs.size
    frame = .allocate(byteCount: size, alignment: 16)
    frame.initializeMemory(as: UInt8.self, repeating: 0, count: size)
  }

  deinit { frame.deallocate() }

  /// Reads a definition.
  public func add(_ text: String) throws(EventError) {
    let definition = try EventParser.parse(text, world.names)
    try events.check(definition)
    let place: Place
    switch definition.place {
    case .symbol(let name, let offset, _):
      guard case .address(let start) = world.names.symbol?(name) else {
        throw definition.failure(.badProbeAddr, "there is no symbol '\(name)'")
      }
      place = Place(definition: definition, at: start &+ offset)
    case .address(let address): place = Place(definition: definition, at: address)
    case .file(let path, let target):
      let path = world.guestPath(path)
      let offset: UInt64
      switch target {
      case .offset(let value): offset = value
      case .symbol(let name, let plus):
        switch world.fileOffset(path, name) {
        case .success(let start): offset = start &+ plus
        case .failure(let reason): throw definition.failure(.badProbeAddr, reason.text)
        }
      }
      if let reason = world.midInsn(path, offset) {
        throw definition.failure(.badInsnBndry, reason)
      }
      place = Place(definition: definition, at: offset, path: path)
    }
    try events.add(definition)
    offsets.insert(place.at & 4095)
    places.append(place)
  }

  /// What was hit so far.
  public var hits: HitTable {
    HitTable(
      rows: places.map {
        HitTable.Row(
          group: $0.definition.group, event: $0.definition.event, hits: $0.hits, missed: 0)
      })
  }

  // MARK: Watching

  /// Instructions at other offsets in their pages are no concern of any event.
  public func sees(_ pc: UInt64) -> Bool { offsets.contains(pc & 4095) }

  /// A place perhaps.
  public func willExecute(_ pc: UInt64, on hart: Hart) {
    guard offsets.contains(pc & 4095) else { return }
    let task = kernel.current?.tid ?? 0
    guard !isRepeated(pc, task, hart) else { return }
    let sp = stackPointer(hart)
    returned(pc, task, sp, hart)
    var file: (path: String, offset: UInt64, base: UInt64)?
    if pc < kernel.isa.userEnd {
      guard let vma = kernel.current?.space?.vma(at: pc), let opened = vma.file else { return }
      let offset = pc &- vma.start &+ vma.pageOffset << 12
      guard let path = path(of: opened, offset) else { return }
      file = (path, offset, pc &- offset)
    }
    for index in places.indices {
      let place = places[index]
      guard place.path == file?.path, place.at == file?.offset ?? pc else { continue }
      fill(hart, pc)
      let base = file?.base ?? 0
      guard place.definition.isReturn else {
        places[index].hits &+= 1
        write(place.definition, function: pc, returnAddress: 0, fileBase: base, entry: [])
        continue
      }
      guard let to = returnAddress() else { continue }
      let context = WatchContext(self, place.definition, base, [])
      let entry = place.definition.entryArguments.map { context.argument($0) }
      calls[task, default: []].append(
        Call(place: index, function: pc, fileBase: base, returnAddress: to, sp: sp, entry: entry))
      if offsets.insert(to & 4095).inserted { hart.forgetBlocks() }
    }
  }

  /// Whether an instruction that was seen begins once more, because it faulted or was put off.
  ///
  /// A program's that faulted is where its task entered the kernel last, and the task did so since.
  private func isRepeated(_ pc: UInt64, _ task: Int32, _ hart: Hart) -> Bool {
    let exceptions = hart.x[Slot.exceptions]
    let now = Sight(pc: pc, exceptions: exceptions, retired: hart.count &- exceptions)
    defer { last[task] = now }
    guard let before = last[task], before.pc == pc else { return false }
    if before.retired == now.retired { return true }
    guard pc < kernel.isa.userEnd, before.exceptions != exceptions else { return false }
    return kernel.current?.block.regs.load64(kernel.framePC) == pc
  }

  /// The path of a definition that leads to an open file.
  private func path(of opened: OpenFile, _ offset: UInt64) -> String? {
    for place in places {
      // By its own name: looking a path up may ask the host.
      if let path = place.path, place.at == offset, opened.path.description == path { return path }
    }
    return nil
  }

  /// Calls that return to `pc` are over, and those that were called by them.
  private func returned(_ pc: UInt64, _ task: Int32, _ sp: UInt64, _ hart: Hart) {
    guard let waiting = calls[task] else { return }
    var rest = waiting
    while let last = rest.lastIndex(where: { $0.returnAddress == pc && sp >= $0.sp }) {
      let call = rest[last]
      rest.removeSubrange(last...)
      fill(hart, pc)
      places[call.place].hits &+= 1
      write(
        places[call.place].definition, function: call.function, returnAddress: pc,
        fileBase: call.fileBase, entry: call.entry)
    }
    calls[task] = rest.isEmpty ? nil : rest
  }

  // MARK: The frame

  private func stackPointer(_ hart: Hart) -> UInt64 {
    registers.first { $0.offset == kernel.frameSP }.map { hart.x[$0.slot] } ?? 0
  }

  private func fill(_ hart: Hart, _ pc: UInt64) {
    for (offset, slot) in registers {
      frame.storeBytes(of: trace.value(slot, hart), toByteOffset: offset, as: UInt64.self)
    }
    frame.storeBytes(of: pc, toByteOffset: kernel.framePC, as: UInt64.self)
  }

  fileprivate func load(_ offset: Int) -> UInt64 {
    frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
  }

  private func returnAddress() -> UInt64? {
    isa.returnAddress(UnsafeRawPointer(frame)) { [self] at in
      readUser(at, 8)?.load64(0) ?? kernel.readKernel(at, 8)?.load64(0)
    }
  }

  // MARK: Lines

  private func write(
    _ definition: EventDefinition, function: UInt64, returnAddress: UInt64, fileBase: UInt64,
    entry: [UInt64?]
  ) {
    let context = WatchContext(self, definition, fileBase, entry)
    let arguments = definition.arguments.map {
      TraceRecord.Argument(
        name: $0.name, type: $0.program.type, value: $0.program.evaluate(context))
    }
    let task = kernel.current
    let record = TraceRecord(
      group: definition.group, event: definition.event, isUser: definition.isUser,
      isReturn: definition.isReturn, comm: task == nil ? Array("<idle>".utf8) : context.comm,
      pid: task?.tid ?? 0, cpu: kernel.hart.index, time: kernel.now, address: function,
      returnAddress: returnAddress, arguments: arguments)
    output(record.line(format, world.symbol))
  }

  /// The task's memory as far as it is present.
  fileprivate func readUser(_ va: UInt64, _ count: Int) -> [UInt8]? {
    guard let space = kernel.current?.space, count >= 0 else { return nil }
    var bytes: [UInt8] = []
    for index in 0..<UInt64(count) {
      let at = va &+ index
      guard at < kernel.isa.userEnd, let pa = space.physical(at),
        let byte = kernel.ram.load(pa, as: UInt8.self)
      else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  /// A hit as fetch programs see it.
  private struct WatchContext: FetchContext {
    let watcher: EventWatcher
    let isUser: Bool
    let fileBase: UInt64
    let entry: [UInt64?]

    init(
      _ watcher: EventWatcher, _ definition: EventDefinition, _ fileBase: UInt64,
      _ entry: [UInt64?]
    ) {
      self.watcher = watcher
      isUser = definition.isUser
      self.fileBase = fileBase
      self.entry = entry
    }

    var userEnd: UInt64 { watcher.kernel.isa.userEnd }
    func register(_ name: String) -> UInt64? { watcher.isa.registerOffset(name).map(watcher.load) }
    func argument(_ index: Int) -> UInt64? {
      if let offset = watcher.isa.argumentOffset(index) { return watcher.load(offset) }
      guard let word = watcher.isa.argumentWord(index) else { return nil }
      let at = stackPointer &+ UInt64(word) &* 8
      return (isUser ? readUser(at, 8) : readKernel(at, 8))?.load64(0)
    }
    func entryValue(_ index: Int) -> UInt64? { entry.indices.contains(index) ? entry[index] : nil }
    var returnValue: UInt64 { watcher.load(watcher.isa.returnValueOffset) }
    var stackPointer: UInt64 { watcher.load(watcher.kernel.frameSP) }
    func readKernel(_ address: UInt64, _ count: Int) -> [UInt8]? {
      watcher.kernel.readKernel(address, count)
    }
    func readUser(_ address: UInt64, _ count: Int) -> [UInt8]? {
      watcher.readUser(address, count)
    }
    var comm: [UInt8] { Array((watcher.kernel.current?.comm ?? "swapper/0").utf8) }
    func symbol(_ address: UInt64) -> KernelSymbol? { watcher.world.symbol(address) }
  }
}
