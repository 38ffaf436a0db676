/// Where a definition leads.
public enum EventTarget: Sendable, Equatable {
  /// Into the kernel.
  case kernel(KernelPlace)
  /// To a byte of a file, by its path in the guest.
  case file(path: String, offset: UInt64)
}

extension EventTracer {
  /// Where a place leads, without a probe: `SYM[+OFFS]`, an address, `PATH:OFFSET` or
  /// `PATH:SYMBOL[+OFFS]`.
  ///
  /// Columns of an error are those of the definition `p PLACE`.
  public func locate(_ place: String) throws(EventError) -> EventTarget {
    let definition = try EventParser.parse("p " + place, world.names)
    switch definition.place {
    case .symbol(let name, let offset, _): return .kernel(.symbol(name, offset: offset))
    case .address(let address): return .kernel(.address(address))
    case .file(let path, let target):
      let guest = world.guestPath(path)
      let offset: UInt64
      switch target {
      case .offset(let value): offset = value
      case .symbol(let name, let plus):
        switch world.fileOffset(guest, name) {
        case .success(let start): offset = start &+ plus
        case .failure(let reason): throw definition.failure(.badProbeAddr, reason.text)
        }
      }
      if let inside = world.midInsn(guest, offset) {
        throw definition.failure(.badInsnBndry, inside)
      }
      return .file(path: guest, offset: offset)
    }
  }
}
