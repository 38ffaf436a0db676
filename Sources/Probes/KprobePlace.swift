import Engine
import GuestKernel

// Where a kprobe may be.
//
// - SeeAlso: Linux, `kernel/kprobes.c`, `kprobe_addr`, `check_kprobe_address_safe`;
//   `arch/riscv/kernel/probes/kprobes.c`, `arch_check_kprobe`

extension KprobeMachine {
  /// Finds a place, and checks that a probe may be there.
  func check(_ place: KernelPlace) throws(ProbeError) -> KprobePoint {
    guard let image = kernel.image else { throw ProbeError(.ENOENT, "no kernel image") }
    let address: UInt64
    switch place {
    case .address(let given): address = given
    case .symbol(let name, let offset):
      guard let symbol = image.elf.symbols.symbol(name) else {
        throw ProbeError(.ENOENT, "no symbol \(name)")
      }
      address = symbol.address &+ offset
    }
    let text = "0x" + String(address, radix: 16)
    // Linux looks the address up anew, so that an offset may lead into the next function.
    guard let found = image.symbol(at: address) else {
      throw ProbeError(.ENOENT, "\(text) is in no function")
    }
    guard let start = kernel.symbol("_stext"), let end = kernel.symbol("_etext"),
      address >= start, address < end
    else { throw ProbeError(.EINVAL, "\(text) is not kernel text") }
    if !legacy.contains(.noBlacklist),
      let reason = blacklisted(address, function: address &- found.offset)
    {
      throw ProbeError(.EINVAL, "\(found.name)+0x\(String(found.offset, radix: 16)) \(reason)")
    }
    guard address % isa.insnAlignment == 0 else {
      throw ProbeError(.EILSEQ, "\(text) is misaligned")
    }
    let where_ = "\(found.name)+0x\(String(found.offset, radix: 16))"
    let before =
      legacy.contains(.anyAddress)
      ? [] : try walk(from: address &- found.offset, to: address, where_)
    guard let insn = isa.classify(original(address), .kernel), let pa = image.physical(address)
    else {
      throw ProbeError(.EINVAL, "\(where_) can't be read")
    }
    let point = KprobePoint(
      address: address, pa: pa, symbol: found.name, offset: found.offset, insn: insn)
    if legacy.contains(.anyInstruction) { return point }
    if case .refuse(let reason, let why) = insn.verdict {
      throw ProbeError(why.errno(.kernel), "\(where_): \(reason)")
    }
    if insideExclusive(before) {
      throw ProbeError(.EINVAL, "\(where_) is inside an exclusive sequence")
    }
    if exceptionTable.contains(address) {
      throw ProbeError(.EINVAL, "\(where_) has an entry in the exception table")
    }
    return point
  }

  /// The bytes at an address of the text as they are without probes.
  func original(_ address: UInt64) -> [UInt8] {
    guard
      var bytes = kernel.readKernel(address, isa.maxInsnLength)
        ?? kernel.readKernel(address, Int(isa.insnAlignment))
    else { return [] }
    // A probe that begins before, at, or inside what was read.
    let reach = UInt64(isa.maxInsnLength)
    var at = address &- UInt64(longestDetour) / isa.insnAlignment &* isa.insnAlignment
    while at != address &+ reach {
      if let point = points[at] {
        for (index, byte) in point.displaced.enumerated() {
          let place = at &+ UInt64(index) &- address
          if place < UInt64(bytes.count) { bytes[Int(place)] = byte }
        }
      }
      at &+= isa.insnAlignment
    }
    return bytes
  }

  /// Decodes from a function's start up to `address`, which must be where an instruction begins.
  ///
  /// - Returns: the instructions before it.
  private func walk(
    from start: UInt64, to address: UInt64, _ text: String
  ) throws(ProbeError) -> [[UInt8]] {
    var at = start
    var before: [[UInt8]] = []
    while at < address {
      let bytes = original(at)
      guard let length = isa.length(bytes) else { break }
      before.append(Array(bytes.prefix(length)))
      at &+= UInt64(length)
    }
    guard at == address else {
      throw ProbeError(.EILSEQ, "\(text) is not the beginning of an instruction")
    }
    return before
  }

  /// Deviation: Linux on riscv allows it, and the loop then never ends: the traps in between take
  /// the reservation away.
  ///
  /// - SeeAlso: Linux, `arch/arm64/kernel/probes/decode-insn.c`, `is_probed_address_atomic`
  private func insideExclusive(_ before: [[UInt8]]) -> Bool {
    for insn in before.suffix(isa.exclusiveReach).reversed() {
      switch isa.exclusiveAccess(insn) {
      case .load: return true
      case .store: return false
      case nil: continue
      }
    }
    return false
  }

  private func blacklisted(_ address: UInt64, function: UInt64) -> String? {
    for (range, name) in blacklist where range.contains(address) { return "is \(name)" }
    return blacklistedFunctions.contains(function) ? "takes no probes" : nil
  }

  /// The image's ranges without probes.
  static func blacklist(_ kernel: Kernel) -> [(Range<UInt64>, String)] {
    [
      ("_stext", "__noinstr_text_start", "boot text"),
      ("__noinstr_text_start", "__noinstr_text_end", "noinstr text"),
      ("__irqentry_text_start", "__irqentry_text_end", "entry text"),
      ("__kprobes_text_start", "__kprobes_text_end", "text of probes"),
    ].compactMap { first, last, name in
      guard let start = kernel.symbol(first), let end = kernel.symbol(last), start < end else {
        return nil
      }
      return (start..<end, name)
    }
  }

  /// The functions that `NOKPROBE_SYMBOL` names.
  static func blacklistedFunctions(_ kernel: Kernel) -> Set<UInt64> {
    Set(words(kernel, "__start_kprobe_blacklist", "__stop_kprobe_blacklist", size: 8))
  }

  /// The instructions that may fault.
  ///
  /// Deviation: Linux on riscv probes them; arm64 refuses them. Here a fault with `pagefault_disabled`
  /// looks the saved pc up in the table before any probe is asked.
  static func exceptionTable(_ kernel: Kernel) -> Set<UInt64> {
    guard let start = kernel.symbol("__start___ex_table") else { return [] }
    let pairs = words(kernel, "__start___ex_table", "__stop___ex_table", size: 8)
    return Set(
      pairs.enumerated().map { index, word in
        let offset = Int64(Int32(truncatingIfNeeded: word))
        return start &+ UInt64(index) &* 8 &+ UInt64(bitPattern: offset)
      })
  }

  private static func words(
    _ kernel: Kernel, _ first: String, _ last: String, size: UInt64
  ) -> [UInt64] {
    guard let start = kernel.symbol(first), let end = kernel.symbol(last), start < end,
      end &- start < 1 << 20, let bytes = kernel.readKernel(start, Int(end &- start))
    else { return [] }
    return stride(from: 0, to: bytes.count - 7, by: Int(size)).map { bytes.load64($0) }
  }
}
