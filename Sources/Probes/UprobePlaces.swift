import Engine
import GuestKernel

// Registration of uprobes, and the mappings that they are put into.
//
// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_register`, `register_for_each_vma`,
//   `install_breakpoint`, `uprobe_mmap`

extension UprobeMachine {
  // MARK: Registration

  func register(_ request: UprobeRequest) throws(ProbeError) -> Uprobe {
    let isChecked = !legacy.contains(.noRegistrationChecks)
    guard request.entry != nil || request.ret != nil || !isChecked else {
      throw ProbeError(.EINVAL, "a uprobe needs a handler")
    }
    let inode = try inode(request.file, request.offset)
    var request = request
    let only = legacy.contains(.segmentOffsetIgnored) ? misplace(&request.offset, inode) : nil
    guard request.referenceCounter & 1 == 0 else {
      throw ProbeError(.EINVAL, "the reference counter is misaligned")
    }
    let key = UprobeKey(inode, request.offset)
    let known = points[key]
    if let known, known.referenceCounter != request.referenceCounter {
      throw ProbeError(.EINVAL, "another probe here has another reference counter")
    }
    let point =
      known ?? UprobePoint(inode, request.offset, referenceCounter: request.referenceCounter)
    point.onlyAddress = only
    let probe = Uprobe(request, inode: inode)
    points[key] = point
    if known == nil { files[ObjectIdentifier(inode), default: UprobePoints()].append(point) }
    point.consumers.insert(probe, at: 0)
    do throws(ProbeError) {
      if probe.isEnabled { try installEverywhere(point, for: probe) }
    } catch {
      unregister(probe)
      throw error
    }
    return probe
  }

  func unregister(_ probe: Uprobe) {
    let key = UprobeKey(probe.inode, probe.offset)
    guard probe.isRegistered, let point = points[key] else { return }
    probe.isRegistered = false
    point.consumers.removeAll { $0 === probe }
    removeUnwanted(point)
    guard point.consumers.isEmpty else { return }
    forget(key)
    files[key.inode]?.remove(point)
    if files[key.inode]?.isEmpty == true { files[key.inode] = nil }
  }

  func setEnabled(_ probe: Uprobe, _ enabled: Bool) throws(ProbeError) {
    guard probe.isRegistered, let point = points[UprobeKey(probe.inode, probe.offset)] else {
      throw ProbeError(.EINVAL, "the probe is not registered")
    }
    guard probe.isEnabled != enabled else { return }
    probe.isEnabled = enabled
    do throws(ProbeError) {
      if enabled { try installEverywhere(point, for: probe) }
    } catch {
      probe.isEnabled = false
      removeUnwanted(point)
      throw error
    }
    if !enabled { removeUnwanted(point) }
  }

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_apply`
  func apply(_ probe: Uprobe, adding: Bool) throws(ProbeError) {
    guard probe.isRegistered, let point = points[UprobeKey(probe.inode, probe.offset)] else {
      throw ProbeError(.ENOENT, "the probe is not registered")
    }
    if adding {
      if probe.isEnabled { try installEverywhere(point, for: probe) }
    } else {
      removeUnwanted(point)
    }
  }

  /// Where a probe goes that takes an offset in the file for one in the first mapping of it.
  private func misplace(_ offset: inout UInt64, _ inode: Inode) -> UInt64? {
    for space in spaces(of: inode) {
      guard let first = space.vmas.first(where: { $0.file?.inode === inode }) else { continue }
      let va = first.start &+ offset
      guard let vma = space.vma(at: va), vma.file?.inode === inode else { return va }
      offset = vma.pageOffset << 12 &+ (va &- vma.start)
      return va
    }
    return nil
  }

  func check(_ file: ProbedFile, _ offset: UInt64) throws(ProbeError) -> ProbedInsn {
    try analyse(try inode(file, offset), offset)
  }

  private func inode(_ file: ProbedFile, _ offset: UInt64) throws(ProbeError) -> Inode {
    let inode: Inode
    switch file {
    case .inode(let given): inode = given
    case .path(let path):
      do throws(Errno) {
        inode = try kernel.vfs.resolve(Path(path), kernel.vfs.makeContext()).inode
      } catch {
        throw ProbeError(error, "\(path) can't be found")
      }
    }
    guard inode.isMappable else { throw ProbeError(.EIO, "the file can't be mapped") }
    let text = "offset 0x" + String(offset, radix: 16)
    guard offset <= inode.size else {
      throw ProbeError(.EINVAL, "\(text) is behind the file's end")
    }
    guard offset % isa.insnAlignment == 0 || legacy.contains(.noRegistrationChecks) else {
      throw ProbeError(.EINVAL, "\(text) is misaligned")
    }
    return inode
  }

  /// Bytes of the file, from the page cache; fewer at its end.
  private func fileBytes(_ inode: Inode, _ offset: UInt64, _ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var at = offset
    let end = min(offset &+ UInt64(count), inode.size)
    while at < end {
      let size = min(4096 &- (at & 4095), end &- at)
      guard let pa = try? inode.page(at >> 12, forWrite: false),
        let part = kernel.ram.bytes(pa | at & 4095, Int(size))
      else { break }
      bytes += part
      at &+= size
    }
    return bytes
  }

  /// Deviation: Linux's errno for a break in the file is ENOTSUPP, which user space does not know.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `prepare_uprobe`
  private func analyse(_ inode: Inode, _ offset: UInt64) throws(ProbeError) -> ProbedInsn {
    let text = "offset 0x" + String(offset, radix: 16)
    let bytes = fileBytes(inode, offset, isa.maxInsnLength)
    guard !bytes.isEmpty else { throw ProbeError(.EIO, "\(text) can't be read") }
    if isa.isBreakpoint(bytes) {
      throw ProbeError(.EOPNOTSUPP, "\(text) holds a break instruction")
    }
    guard var insn = isa.classify(bytes, .user) else {
      throw ProbeError(.EINVAL, "\(text) holds no whole instruction")
    }
    // Before slots are made: what they hold depends on it.
    if insn.verdict == .simulate, legacy.contains(.everythingInSlot) { insn.verdict = .outOfLine }
    if case .refuse(let reason, let why) = insn.verdict {
      throw ProbeError(why.errno(.user), "\(text): \(reason)")
    }
    if insideExclusive(inode, offset) {
      throw ProbeError(.EINVAL, "\(text) is inside an exclusive sequence")
    }
    return insn
  }

  /// Whether some instruction shortly before begins an exclusive sequence that reaches here.
  ///
  /// Deviation: Linux does not look.
  private func insideExclusive(_ inode: Inode, _ offset: UInt64) -> Bool {
    let reach = min(UInt64(isa.exclusiveReach * isa.maxInsnLength), offset)
    let bytes = fileBytes(inode, offset &- reach, Int(reach))
    guard bytes.count == Int(reach) else { return false }
    for start in stride(from: 0, to: bytes.count, by: Int(isa.insnAlignment)) {
      guard isa.exclusiveAccess(Array(bytes[start...])) == .load else { continue }
      var at = start
      while at < bytes.count {
        let rest = Array(bytes[at...])
        if isa.exclusiveAccess(rest) == .store { break }
        guard let length = isa.length(rest) else { break }
        at += length
      }
      if at == bytes.count { return true }
    }
    return false
  }

  // MARK: Mappings

  private func spaces(of inode: Inode) -> [AddressSpace] {
    inode.currentMappings.compactMap { $0 as? AddressSpace }
  }

  private func installEverywhere(
    _ point: UprobePoint, for probe: Uprobe
  ) throws(ProbeError) {
    for space in spaces(of: point.inode) where probe.filter?(space) ?? true {
      for vma in space.vmas where isProbeable(vma, point.inode, registering: true) {
        if let va = point.address(in: vma) { try install(point, va, space) }
      }
    }
  }

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `valid_vma`
  private func isProbeable(_ vma: VMA, _ inode: Inode, registering: Bool) -> Bool {
    vma.file?.inode === inode && vma.isPrivate
      && !(registering && vma.prot & MM.PROT_WRITE != 0)
  }

  private func removeUnwanted(_ point: UprobePoint) {
    for space in spaces(of: point.inode) where space.probeState is UprobeSpace {
      if !point.isWanted(in: space) { removeUnwanted(point, in: space) }
    }
  }

  /// Takes the break out of one process.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `unapply_uprobe`
  func removeUnwanted(_ point: UprobePoint, in space: AddressSpace) {
    for vma in space.vmas where isProbeable(vma, point.inode, registering: false) {
      if let va = point.address(in: vma) { remove(point, va, space) }
    }
  }

  private func breakpoint(_ insn: ProbedInsn) -> [UInt8] {
    isa.breakpoint(.uprobe, over: insn.length)
  }

  /// Puts the break into one mapping: into a private copy of its page.
  ///
  /// What was done is undone where the rest of it fails.
  private func install(
    _ point: UprobePoint, _ va: UInt64, _ space: AddressSpace
  ) throws(ProbeError) {
    let insn: ProbedInsn
    if let known = point.insn {
      insn = known
    } else {
      insn = try isNaive ? naive(point, va, space) : analyse(point.inode, point.offset)
      point.insn = insn
    }
    let bytes = breakpoint(insn)
    let own = UprobeSpace.of(space)
    let before = (own.hasBreaks, own.isDoubtful)
    var counted = Counted.no
    do throws(Errno) {
      if try space.readForced(va, bytes.count) == bytes { return }
      own.hasBreaks = true
      own.isDoubtful = false
      counted = try count(point, 1, space, own)
      if legacy.contains(.writesSharedFrames), let pa = space.physical(va) {
        kernel.ram.write(pa, bytes)
        fetch.text(of: space)
      } else {
        try space.writeForced(va, bytes)
      }
      if legacy.contains(.noFetchSynchronisation) { space.instructionFlushNeeded = false }
      fetch.hurry()
    } catch {
      (own.hasBreaks, own.isDoubtful) = before
      switch counted {
      case .no: break
      case .now: _ = try? count(point, -1, space, own)
      case .later: own.delayed.removeAll { $0 === point }
      }
      throw ProbeError(error, "0x\(String(va, radix: 16)) can't be written")
    }
  }

  private var isNaive: Bool {
    legacy.contains(.absentTextIsZeros) || legacy.contains(.noRegistrationChecks)
  }

  /// What a system makes of an instruction that it neither reads from the file nor looks at.
  private func naive(_ point: UprobePoint, _ va: UInt64, _ space: AddressSpace) -> ProbedInsn {
    var bytes = [UInt8](repeating: 0, count: isa.maxInsnLength)
    if space.physical(va) != nil || !legacy.contains(.absentTextIsZeros) {
      bytes = fileBytes(point.inode, point.offset, isa.maxInsnLength)
    }
    let length = isa.length(bytes) ?? bytes.count
    return ProbedInsn(bytes: Array(bytes.prefix(length)), verdict: .outOfLine)
  }

  /// Takes the break out of one mapping.
  func remove(_ point: UprobePoint, _ va: UInt64, _ space: AddressSpace) {
    guard let insn = point.insn, let own = space.probeState as? UprobeSpace else { return }
    let bytes = breakpoint(insn)
    own.isDoubtful = true
    guard (try? space.readForced(va, bytes.count)) == bytes else {
      own.delayed.removeAll { $0 === point }
      return
    }
    _ = try? count(point, -1, space, own)
    if legacy.contains(.restoresThroughOneFrame), let pa = space.physical(va) {
      kernel.ram.write(pa, insn.bytes)
      fetch.text(of: space)
    } else {
      try? space.writeForced(va, Array(insn.bytes.prefix(bytes.count)))
      space.dropIdenticalCopy(va)
    }
    fetch.hurry()
  }

  /// What became of a change of a counter.
  private enum Counted {
    case no
    case now
    /// It waits until the counter is mapped.
    case later
  }

  /// Adds to a probe's counter in the program's memory, now or once it is mapped; what waits for
  /// that is forgotten where something is taken away.
  ///
  /// - Throws: `EINVAL` where the counter would become less than nothing.
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `update_ref_ctr`, `__update_ref_ctr`
  private func count(
    _ point: UprobePoint, _ delta: Int16, _ space: AddressSpace, _ own: UprobeSpace
  ) throws(Errno) -> Counted {
    guard point.referenceCounter != 0, !legacy.contains(.noReferenceCounters) else { return .no }
    if delta < 0, let waiting = own.delayed.firstIndex(where: { $0 === point }) {
      own.delayed.remove(at: waiting)
      return .no
    }
    guard let va = counter(point, in: space) else {
      if delta > 0, !own.delayed.contains(where: { $0 === point }) { own.delayed.append(point) }
      return delta > 0 ? .later : .no
    }
    let (new, over) = try space.load(va, as: Int16.self).addingReportingOverflow(delta)
    guard !over, new >= 0 else { throw .EINVAL }
    try space.store(va, new)
    return .now
  }

  /// Where a process has a probe's counter.
  ///
  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `valid_ref_ctr_vma`
  private func counter(_ point: UprobePoint, in space: AddressSpace) -> UInt64? {
    for vma in space.vmas
    where vma.file?.inode === point.inode && vma.isPrivate && vma.prot & MM.PROT_WRITE != 0 {
      let first = vma.pageOffset << 12
      if point.referenceCounter >= first, point.referenceCounter &- first < vma.count {
        return vma.start &+ (point.referenceCounter &- first)
      }
    }
    return nil
  }

  /// Whether any probed place is still mapped.
  func recompute(_ space: AddressSpace, _ own: UprobeSpace) {
    own.isDoubtful = false
    own.hasBreaks = space.vmas.contains { vma in
      guard vma.isPrivate, let inode = vma.file?.inode else { return false }
      return files[ObjectIdentifier(inode)]?.contains { $0.address(in: vma) != nil } ?? false
    }
  }

  // MARK: What processes do

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_mmap`
  func mapped(_ space: AddressSpace, _ start: UInt64, _ end: UInt64) {
    guard !files.isEmpty, !legacy.contains(.processesAreNotFollowed) else { return }
    for vma in space.vmas where vma.start < end && start < vma.end {
      guard let inode = vma.file?.inode, let list = files[ObjectIdentifier(inode)] else { continue }
      for point in list where isProbeable(vma, inode, registering: true) {
        if let va = point.address(in: vma), point.isWanted(in: space) {
          // As in Linux, nobody hears of what can't be done here.
          try? install(point, va, space)
        }
      }
    }
    countDelayed(space)
  }

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `delayed_ref_ctr_inc`
  private func countDelayed(_ space: AddressSpace) {
    guard let own = space.probeState as? UprobeSpace, !own.delayed.isEmpty else { return }
    let waiting = own.delayed
    own.delayed = []
    for point in waiting where points[UprobeKey(point.inode, point.offset)] === point {
      _ = try? count(point, 1, space, own)
    }
  }

  func unmapped(_ space: AddressSpace) {
    if let own = space.probeState as? UprobeSpace { own.isDoubtful = true }
  }

  /// A new program: its memory has no breaks yet.
  func executed(_ task: Task) {
    if let space = task.space { mapped(space, 0, kernel.isa.userEnd) }
  }

  /// - SeeAlso: Linux, `kernel/events/uprobes.c`, `uprobe_dup_mmap`, `uprobe_copy_process`
  func cloned(_ parent: Task, _ child: Task) {
    guard let from = parent.space, let to = child.space,
      !legacy.contains(.processesAreNotFollowed)
    else { return }
    if from !== to, let own = from.probeState as? UprobeSpace {
      let copy = UprobeSpace.of(to)
      copy.hasBreaks = own.hasBreaks
      copy.isDoubtful = true
      // Deviation: Linux forgets the counters that wait, and then counts the child's below zero.
      copy.delayed = own.delayed
    }
    guard let utask = parent.probeState as? UprobeTask, !utask.calls.isEmpty,
      from !== to || child.isVforkChild
    else { return }
    UprobeTask.of(child).calls = utask.calls
    // The child's stack holds the trampoline's address.
    if from !== to, let area = (from.probeState as? UprobeSpace)?.area {
      _ = self.area(of: to, at: area.base)
    }
  }

  /// A task gives up its memory: what it awaited will not come.
  func releasing(_ task: Task) {
    guard let utask = task.probeState as? UprobeTask else { return }
    if case .stepping(let step) = utask.state { step.area.release(step.slot) }
    task.probeState = nil
  }
}
