/// What ends a guest's link.
package enum GuestNetworkError: Error, Equatable, Sendable {
    /// The NIC socket announced a frame longer than QEMU sends: it does not carry frames, or its stream is out of step.
    case frameTooLong(byteCount: Int)
    /// The NIC socket announced a frame of nothing.
    case emptyFrame
}
